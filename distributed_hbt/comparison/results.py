"""Evaluation results of runs, read back from their directories."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.errors import DataError


@dataclass(frozen=True)
class RunResult:
    """The figures of one run at one step. `aggregates` is benchmark -> "mono AP" and the like -> value."""

    name: str
    step: int | None
    aggregates: Mapping[str, Mapping[str, float]]


def read_run(directory: Path) -> RunResult:
    """The newest evaluation of a run directory. Raises DataError if it has none."""
    steps = sorted(path for path in (directory / "evaluation").glob("step-*") if _summaries(path))
    if not steps:
        raise DataError(str(directory), "holds no evaluation of a run", "name a run directory that has one")
    return read_evaluation(steps[-1], name=directory.name)


def read_evaluation(folder: Path, name: str) -> RunResult:
    """All benchmarks of one evaluation folder. Raises DataError if a summary is damaged."""
    aggregates = {}
    step = None
    for path in _summaries(folder):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            aggregates[summary["benchmark"]] = _flat(summary["aggregates"])
            step = summary.get("step")
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(str(path), f"is damaged ({error})", "remove it and evaluate again") from error
    return RunResult(name, step, aggregates)


def _summaries(folder: Path) -> list[Path]:
    """Finished results alone; a folder that is being written has another name."""
    return sorted(path for path in folder.glob("*/summary.json") if ".partial-" not in path.parent.name)


def _flat(aggregates: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for group, value in aggregates.items():
        if isinstance(value, Mapping):
            flat.update({f"{group} {measure}": float(v) for measure, v in value.items()})
        elif not isinstance(value, list):
            flat[group] = float(value)
    return flat
