"""What is known of how an encoder came to be: read from the run around its checkpoint, nothing guessed."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed_hbt.comparison.observations import read_observations
from distributed_hbt.comparison.summary_file import read_summary_file
from distributed_hbt.config import yaml_file
from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import DataError, HbtError
from distributed_hbt.export.intervals import Interval, intervals
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.tracked_run import TrackedRun
from distributed_hbt.tracking.recorded import recorded_tags

_LANGUAGE_BIAS = {"rank_distance": "RD", "max_rank": "Max@R", "rank_correlation": "MRC"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figure:
    """One figure of a benchmark."""

    group: str
    measure: str
    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Measured:
    """A benchmark's summary, and its figures."""

    summary: Mapping[str, Any]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Provenance:
    """The run of an encoder. `state` is that of its checkpoint; `source_counts` are those of the store, one a
    source; `tags` are what was recorded in MLflow. Each may be missing."""

    config: RunConfig
    run_id: str | None = None
    step: int | None = None
    state: Mapping[str, Any] = field(default_factory=dict)
    source_counts: tuple[Mapping[str, Any], ...] = ()
    measured: tuple[Measured, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


def provenance(encoder: Path) -> Provenance | None:
    """Of an encoder at <run>/checkpoints/<step>/encoder; None where there is no such run around it."""
    run, checkpoint = run_around(encoder), encoder.parent
    if run is None:
        return None
    try:
        config = validate(yaml_file.read(run.config))
        tracked = TrackedRun.of(run.path)
    except HbtError as error:
        _log.warning("the model card says nothing of the run: %s", error)
        return None
    state = _read(checkpoint / "state.json")
    return Provenance(
        config=config,
        run_id=tracked.run_id if tracked else None,
        step=step_of(encoder),
        state=state,
        source_counts=_source_counts(run, config, state.get("store")),
        measured=tuple(_measured(run.path / "evaluation" / checkpoint.name)),
        tags=_tags(run.path),
    )


def run_around(encoder: Path) -> RunDirectory | None:
    """The run directory that an encoder's folder stands in."""
    run = RunDirectory(encoder.parent.parent.parent)
    there = encoder.parent.parent.name == run.checkpoints.name and run.config.is_file()
    return run if there else None


def step_of(encoder: Path) -> int | None:
    """The step of the checkpoint that an encoder's folder stands in."""
    step = _read(encoder.parent / "state.json").get("step")
    return step if isinstance(step, int) else None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("the model card does without %s (%s)", path, error)
        return {}
    return content if isinstance(content, dict) else {}


def _source_counts(
    run: RunDirectory, config: RunConfig, fingerprint: object
) -> tuple[Mapping[str, Any], ...]:
    """The stores may have moved together with the run."""
    from distributed_hbt.data.store import open_store

    if not isinstance(fingerprint, str) or not fingerprint.isalnum():  # else it is no name of a store
        return ()
    for stores in (config.stores, run.path.parent / "stores"):
        if (stores / fingerprint / "store.json").is_file():
            try:
                return tuple(open_store(stores / fingerprint).source_counts())
            except HbtError as error:
                _log.warning("the model card has no counts of the data: %s", error)
    return ()


def _measured(folder: Path) -> list[Measured]:
    found = []
    for path in sorted(folder.glob("*/summary.json")):
        if ".partial-" in path.parent.name:
            continue
        try:
            summary = read_summary_file(path)
            values = _values(summary["aggregates"])
            known = {}
            if (path.parent / "per_query.parquet").is_file():
                observations = read_observations(path.parent, summary)
                known = intervals(observations, [_per_query(key) for key in values])
        except DataError as error:
            _log.warning("the model card does without an evaluation: %s", error)
            continue
        figures = [Figure(*key, value, known.get(_per_query(key))) for key, value in values.items()]
        found.append(Measured(summary, tuple(figures)))
    return found


def _values(aggregates: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    """(group, measure) -> value; a bare number has no measure."""
    values: dict[tuple[str, str], float] = {}
    for group, content in aggregates.items():
        if isinstance(content, Mapping):
            values |= {(group, measure): float(value) for measure, value in content.items()}
        elif isinstance(content, int | float):
            values[group, ""] = float(content)
    return values


def _per_query(figure: tuple[str, str]) -> tuple[str, str]:
    """The group and measure that a figure is the mean of."""
    group, _ = figure
    return ("multi", _LANGUAGE_BIAS[group]) if group in _LANGUAGE_BIAS else figure


def _tags(run: Path) -> Mapping[str, str]:
    try:
        return recorded_tags(run)
    except HbtError as error:
        _log.warning("the model card names neither commit nor versions of the training: %s", error)
        return {}
