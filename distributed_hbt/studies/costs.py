"""What each system of a study took to train: parameters, memory, time."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from distributed_hbt.comparison.report.content import Cell, Section, Table
from distributed_hbt.comparison.results import RunResult
from distributed_hbt.errors import DataError


def costs_of(systems: Mapping[str, Sequence[RunResult]]) -> Section:
    """A line a system, medians over its seeds. Raises DataError for a damaged costs.json."""
    rows = [(name, costs) for name, runs in systems.items() if (costs := _costs(runs))]
    table = Table(
        "Parameters and memory by system",
        ("system", "parameters", "trained", "trained share", "peak memory, MiB"),
        tuple(_row(name, costs) for name, costs in rows),
        explanation=(
            "Peak memory is that of the first rank: allocated on its GPU, or on a CPU the resident size of "
            "the whole process, with its libraries."
        ),
    )
    return Section(heading="What it took", tables=(table,) if rows else ())


def _costs(runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    paths = [run.costs for run in runs if run.costs is not None]
    return [_read(path) for path in paths]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: content[name] + 0 for name in ("parameters", "trained_parameters", "peak_memory_mib")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(str(path), "does not say what a run took", "remove the file") from error


def _row(system: str, costs: Sequence[dict[str, Any]]) -> tuple[Cell, ...]:
    whole, trained = costs[0]["parameters"], costs[0]["trained_parameters"]
    memory = median(one["peak_memory_mib"] for one in costs)
    return (
        Cell(system),
        Cell(f"{whole:,}", whole),
        Cell(f"{trained:,}", trained),
        Cell(f"{trained / whole:.2%}", trained / whole),
        Cell(f"{memory:,.0f}", memory),
    )
