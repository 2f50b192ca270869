"""Values per query of one evaluation, as contributions to macro means."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distributed_hbt.comparison.significance import Floats, Integers
from distributed_hbt.errors import DataError, one_line

_COLUMNS = {"task": "string", "query_id": "string", "measure": "string", "value": "float64"}
_REMEDY = "remove the folder and evaluate again"
KINDS = ("mono", "cross", "multi")


@dataclass(frozen=True, slots=True)
class Task:
    """A task's name, taken apart. `kind`: mono, cross, multi, or mean for the task of a language (MIRACL) or
    split, whose `query_language` is that language."""

    name: str
    kind: str
    query_language: str
    passage_language: str | None


@dataclass(frozen=True, slots=True)
class Units:
    """What may vary by itself, [U]: a query, or a question with its parallel versions; and the stratum of
    each: units of the same tasks are drawn alike."""

    names: tuple[str, ...]
    stratum_U: Integers


@dataclass(frozen=True)
class Observations:
    """One evaluation of one run on one benchmark."""

    benchmark: str
    tasks: tuple[Task, ...]
    measures: tuple[str, ...]
    values: Mapping[tuple[str, str], Mapping[str, float]] = field(repr=False)
    """(task, measure) -> query_id -> value."""
    where: Path

    def contributions(self, tasks: Sequence[Task], measure: str) -> tuple[Units, Floats]:
        """The units of these tasks and their contributions [U] to the macro mean of the measure: a query adds
        its value / queries of its task / tasks."""
        found: dict[str, float] = {}
        seen: dict[str, list[str]] = {}
        for task in tasks:
            of_query = self.values[task.name, measure]
            for query_id, value in of_query.items():
                unit = _unit(task, query_id)
                found[unit] = found.get(unit, 0.0) + value / len(of_query) / len(tasks)
                seen.setdefault(unit, []).append(task.name)
        names = tuple(sorted(found))
        strata = {group: i for i, group in enumerate(sorted({tuple(of_unit) for of_unit in seen.values()}))}
        stratum_U = np.array([strata[tuple(seen[name])] for name in names], np.int64)
        return Units(names, stratum_U), np.array([found[name] for name in names], np.float64)

    def has(self, measure: str, tasks: Iterable[Task]) -> bool:
        """Whether every one of the tasks, and at least one, has the measure."""
        present = [(task.name, measure) in self.values for task in tasks]
        return bool(present) and all(present)

    def tasks_where(self, wanted: Callable[[Task], bool]) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if wanted(task))


def read_observations(folder: Path, summary: Mapping[str, Any]) -> Observations:
    """Of `<folder>/per_query.parquet`. Raises DataError where it is missing, damaged, or has no query."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "per_query.parquet"
    values: dict[tuple[str, str], dict[str, float]] = {}
    try:
        found = pq.read_table(path, columns=[*_COLUMNS])
        table = found.cast(pa.schema([(name, pa.type_for_alias(kind)) for name, kind in _COLUMNS.items()]))
        texts = table.to_pydict()
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(str(path), f"can not be read ({one_line(error)})", _REMEDY) from error
    if any(column.null_count for column in table.columns):
        raise DataError(str(path), "lacks values", _REMEDY)
    rows = zip(*(texts[name] for name in _COLUMNS), strict=True)
    for task, query_id, measure, value in rows:
        values.setdefault((task, measure), {})[query_id] = value
    if not values:
        raise DataError(str(path), "holds no value", _REMEDY)
    names = tuple(dict.fromkeys(task for task, _ in values))
    languages = summary.get("languages") or []
    return Observations(
        benchmark=summary["benchmark"],
        tasks=tuple(_task(name, languages, path) for name in names),
        measures=tuple(dict.fromkeys(measure for _, measure in values)),
        values=values,
        where=path,
    )


def _task(name: str, languages: Sequence[str], where: Path) -> Task:
    kind, slash, rest = name.partition("/")
    if not slash or kind not in KINDS:
        return Task(name, "mean", name, None)
    if kind != "cross":
        return Task(name, kind, rest, rest if kind == "mono" else None)
    # A language's code may itself hold a hyphen.
    pairs = ((query, rest[len(query) + 1 :]) for query in languages if rest.startswith(f"{query}-"))
    known = next(((query, passage) for query, passage in pairs if passage in languages), None)
    query, passage = known or (rest.split("-", 1) if "-" in rest else ("", ""))
    if not query or not passage:
        raise DataError(str(where), f"has a task {name!r}, which names no pair of languages", _REMEDY)
    return Task(name, kind, query, passage)


def _unit(task: Task, query_id: str) -> str:
    """Parallel versions of a question, `<language>:<id>`, are one unit; elsewhere ids count by task."""
    if task.kind == "mean":
        return f"{task.name}\t{query_id}"
    return query_id.partition(":")[2]
