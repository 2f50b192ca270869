"""Runs -> a comparison: which tables there are, and what they show."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

from distributed_hbt.comparison.comparison import BenchmarkComparison, Comparison, Figure, Row, TrainingLog
from distributed_hbt.comparison.observations import Observations, Task
from distributed_hbt.comparison.results import RunResult
from distributed_hbt.comparison.rows import Pair, make_rows
from distributed_hbt.comparison.samples import Line
from distributed_hbt.comparison.systems import Grouped, describe
from distributed_hbt.comparison.training_log import read_training_log
from distributed_hbt.errors import ConfigError, DataError

SUMMARY_MEASURES = (
    *(("mono", "AP"), ("mono", "R@1"), ("cross", "AP"), ("cross", "R@1"), ("multi", "AP"), ("multi", "R@10")),
    *(("mean", "nDCG@10"), ("mean", "R@100"), ("mean", "RR@10")),
)
"""(group, measure) that the paper reports (arXiv 2408.10536), and those of MIRACL."""
LANGUAGE_MEASURES = (("mono", "AP"), ("cross", "AP"), ("multi", "AP"), ("mean", "nDCG@10"))
BIAS_MEASURES = ("RD", "Max@R", "MRC")

_ALIKE = ("candidate", "article_range", "languages", "split", "dimension")
"""What of a summary must be the same for its figures to be comparable."""


def compare(
    systems: Grouped,
    *,
    baseline: str | None = None,
    pairs: Sequence[Pair] = (),
    measures: Sequence[tuple[str, str]] = SUMMARY_MEASURES,
) -> Comparison:
    """Tables, tests and logs of systems, each one or more runs.

    Tested are the `pairs`, else all others against the `baseline`, else all pairs. `measures` are the
    (group, measure) of the summary tables. Raises ConfigError for a baseline that is no
    system and for systems that were evaluated otherwise, DataError for files that can not be read.
    """
    if baseline is not None and baseline not in systems:
        raise ConfigError("--baseline", f"{baseline} is no system", f"choose from {', '.join(systems)}")
    tested = list(pairs) or _pairs(list(systems), baseline)
    names = dict.fromkeys(name for runs in systems.values() for run in runs for name in run.benchmarks)
    return Comparison(
        systems=describe(systems),
        baseline=baseline,
        benchmarks=tuple(_benchmark(name, systems, tested, measures) for name in names),
        training=tuple(_training_logs(systems)),
    )


def _pairs(systems: Sequence[str], baseline: str | None) -> list[Pair]:
    if baseline is None:
        return list(combinations(systems, 2))
    return [(baseline, name) for name in systems if name != baseline]


def _benchmark(
    name: str, systems: Grouped, pairs: Sequence[Pair], measures: Sequence[tuple[str, str]]
) -> BenchmarkComparison:
    measured = {system: runs for system, runs in systems.items() if all(name in r.benchmarks for r in runs)}
    _check_settings(name, measured)
    observed = {
        system: tuple(run.benchmarks[name].observations() for run in runs)
        for system, runs in measured.items()
    }
    languages = list(
        dict.fromkeys(task.query_language for one in observed.values() for run in one for task in run.tasks)
    )
    return BenchmarkComparison(
        benchmark=name,
        summary=make_rows(observed, [_of_group(group, measure) for group, measure in measures], pairs),
        by_language=make_rows(
            observed,
            [_of_language(*which, language) for which, language in product(LANGUAGE_MEASURES, languages)],
            pairs,
        ),
        language_bias=(
            *make_rows(observed, [_of_group("multi", measure) for measure in BIAS_MEASURES], pairs),
            *_peer(name, measured),
        ),
        cells={system: cells for system, one in observed.items() if (cells := _cells(one))},
        top10={system: shares for system, runs in measured.items() if (shares := _top10(name, runs))},
    )


def _of_group(group: str, measure: str) -> Line:
    return Line(group, measure, lambda task: task.kind == group)


def _of_language(group: str, measure: str, language: str) -> Line:
    def takes(task: Task) -> bool:
        return task.kind == group and task.query_language == language

    return Line(group, measure, takes, language)


def _peer(name: str, systems: Grouped) -> list[Row]:
    """PEER is a p value of all queries of a language together: there is nothing to test by query."""
    of_seeds = {
        system: [run.benchmarks[name].summary["aggregates"].get("peer") for run in runs]
        for system, runs in systems.items()
    }
    figures = {system: _of_seeds(values) for system, values in of_seeds.items() if None not in values}
    return [Row("multi", None, "PEER", True, figures, ())] if figures else []


def _of_seeds(values: Sequence[float]) -> Figure:
    """Without an interval: p values are not spread as means are."""
    return Figure(_mean(values), None, None, tuple(values), 0)


def _cells(runs: Sequence[Observations]) -> dict[str, dict[str, float]]:
    """query language -> passage language -> mean AP over seeds; the diagonal is the monolingual task."""
    cells: dict[str, dict[str, float]] = {}
    for task in runs[0].tasks_where(lambda task: task.kind in ("mono", "cross")):
        if task.passage_language is not None and all(run.has("AP", [task]) for run in runs):
            means = [_mean(run.values[task.name, "AP"].values()) for run in runs]
            cells.setdefault(task.query_language, {})[task.passage_language] = _mean(means)
    return cells


def _top10(name: str, runs: Sequence[RunResult]) -> dict[str, dict[str, float]]:
    """query language -> passage language -> share of the ten best, mean over seeds."""
    tables = [run.benchmarks[name].summary.get("top10_languages") for run in runs]
    if not all(tables):
        return {}
    found: list[Mapping[str, Mapping[str, float]]] = [table for table in tables if table]
    pairs = [{(query, passage) for query, shares in table.items() for passage in shares} for table in found]
    if any(one != pairs[0] for one in pairs):
        where = str(runs[0].benchmarks[name].folder)
        raise DataError(where, "top10_languages has other languages in another seed", "evaluate both alike")
    return {
        query: {passage: _mean(table[query][passage] for table in found) for passage in shares}
        for query, shares in found[0].items()
    }


def _training_logs(systems: Grouped) -> Iterable[TrainingLog]:
    for system, runs in systems.items():
        for run in runs:
            if run.train_log is not None:
                yield read_training_log(run.train_log, run.name, system)


def _check_settings(name: str, systems: Grouped) -> None:
    seen: dict[str, tuple[str, Any]] = {}
    for runs in systems.values():
        for run in runs:
            summary = run.benchmarks[name].summary
            for field in _ALIKE:
                first, value = seen.setdefault(field, (run.name, summary.get(field)))
                if value != summary.get(field):
                    what = f"{run.name} was evaluated with {field} {summary.get(field)}, {first} with {value}"
                    raise ConfigError(name, what, "compare runs that were evaluated alike")


def _mean(values: Iterable[float]) -> float:
    every = list(values)
    return sum(every) / len(every)
