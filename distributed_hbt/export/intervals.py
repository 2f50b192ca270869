"""95% intervals of a benchmark's figures: the percentile bootstrap over queries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

REPLICATES = 1000
_AT_ONCE = 100
_SEED = 20240810


def intervals(path: Path, wanted: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Interval]:
    """(group, measure) -> interval, of a per_query.parquet; a figure that has no value a query is left out.

    A query that is in several tasks is drawn for all of them at once. Groups are those of a summary's
    `aggregates`: `mono`, `cross`, `multi`, `mean` average over tasks, `pool` over all queries of `multi`.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path, read_dictionary=["task", "query_id", "measure"]).to_pandas()
    found = {}
    for group, name in wanted:
        chosen = table[(table["measure"] == name) & table["task"].isin(_tasks(table["task"], group))]
        if len(chosen):
            query, task = (chosen[column].cat.codes.to_numpy() for column in ("query_id", "task"))
            tasks = np.zeros_like(task) if group == "pool" else task
            found[group, name] = _interval(*_by_task(query, tasks, chosen["value"].to_numpy()))
    return found


def _tasks(task: Any, group: str) -> list[str]:
    names = [str(name) for name in task.cat.categories]
    if group in ("mono", "cross", "multi", "pool"):
        kind = "multi" if group == "pool" else group
        return [name for name in names if name.startswith(f"{kind}/")]
    return [name for name in names if "/" not in name]


def _by_task(query: NDArray[Any], task: NDArray[Any], value: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """value_QT, and whether query q is in task t."""
    queries, row = np.unique(query, return_inverse=True)
    tasks, column = np.unique(task, return_inverse=True)
    value_QT = np.zeros((len(queries), len(tasks)))
    present_QT = np.zeros(value_QT.shape, dtype=bool)
    value_QT[row, column], present_QT[row, column] = value, True
    return value_QT, present_QT


def _interval(value_QT: Floats, present_QT: NDArray[np.bool_]) -> Interval:
    """Of the mean over tasks of the means over queries. Queries are drawn within those of the same tasks, so
    that each task keeps its number of queries."""
    generator = np.random.default_rng(_SEED)
    patterns, stratum_Q = np.unique(present_QT, axis=0, return_inverse=True)
    rows = [np.flatnonzero(stratum_Q.ravel() == i) for i in range(len(patterns))]
    size_T = present_QT.sum(0)
    means: list[Floats] = []
    for _ in range(0, REPLICATES, _AT_ONCE):
        drawn_BQ = np.zeros((_AT_ONCE, len(value_QT)))
        for of_stratum in rows:
            chances = np.full(len(of_stratum), 1 / len(of_stratum))
            drawn_BQ[:, of_stratum] = generator.multinomial(len(of_stratum), chances, size=_AT_ONCE)
        means.append(((drawn_BQ @ value_QT) / size_T).mean(1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
