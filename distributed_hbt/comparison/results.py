"""Runs, read back from their directories: configuration, newest evaluation, training log."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.comparison.observations import Observations, read_observations
from distributed_hbt.comparison.summary_file import read_summary_file
from distributed_hbt.config import yaml_file
from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import DataError
from distributed_hbt.tracked_run import TrackedRun

SUMMARY = "summary.json"


@dataclass(frozen=True)
class BenchmarkResult:
    """A benchmark's folder below an evaluation, and its summary.json."""

    folder: Path
    summary: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.summary["benchmark"])

    def observations(self) -> Observations:
        """Values per query. Raises DataError where they can not be read."""
        return read_observations(self.folder, self.summary)


@dataclass(frozen=True)
class RunResult:
    """One run at one step. `config` is None, and there is no training log and no costs.json, where only an
    evaluation is at hand; `mlflow_run` is None where the run is not known to MLflow."""

    name: str
    step: int | None
    benchmarks: Mapping[str, BenchmarkResult]
    config: RunConfig | None = None
    mlflow_run: str | None = None
    train_log: Path | None = None
    costs: Path | None = None

    @property
    def aggregates(self) -> dict[str, dict[str, float]]:
        """Benchmark -> "mono AP" and the like -> value."""
        return {name: _flat(one.summary["aggregates"]) for name, one in self.benchmarks.items()}


def read_run(directory: Path) -> RunResult:
    """The newest evaluation of a run directory, or an evaluation that stands by itself (`<benchmark>/` in
    `directory`). Raises DataError if there is none, ConfigError for an unusable config.yaml."""
    if not directory.is_dir():
        raise DataError(str(directory), "no such folder", "name a run directory")
    steps = sorted(path for path in (directory / "evaluation").glob("step-*") if _summaries(path))
    if not steps:
        if _summaries(directory):
            return read_evaluation(directory, name=directory.name)
        raise DataError(str(directory), "holds no evaluation of a run", "name a run directory that has one")
    found = read_evaluation(steps[-1], name=directory.name)
    tracked = TrackedRun.of(directory)
    config, log, costs = (directory / name for name in ("config.yaml", "train.jsonl", "costs.json"))
    return RunResult(
        name=directory.name,
        step=found.step,
        benchmarks=found.benchmarks,
        config=validate(yaml_file.read(config)) if config.is_file() else None,
        mlflow_run=tracked.run_id if tracked else None,
        train_log=log if log.is_file() else None,
        costs=costs if costs.is_file() else None,
    )


def read_evaluation(folder: Path, name: str) -> RunResult:
    """All benchmarks of one evaluation folder. Raises DataError if a summary is damaged."""
    benchmarks: dict[str, BenchmarkResult] = {}
    step = None
    for path in _summaries(folder):
        summary = read_summary_file(path)
        benchmarks[summary["benchmark"]] = BenchmarkResult(path.parent, summary)
        step = summary.get("step")
    return RunResult(name, step, benchmarks)


def _summaries(folder: Path) -> list[Path]:
    """Finished results alone; a folder that is being written has another name."""
    return sorted(path for path in folder.glob(f"*/{SUMMARY}") if ".partial-" not in path.parent.name)


def _flat(aggregates: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for group, value in aggregates.items():
        if isinstance(value, Mapping):
            flat.update({f"{group} {measure}": float(v) for measure, v in value.items()})
        elif not isinstance(value, list):
            flat[group] = float(value)
    return flat
