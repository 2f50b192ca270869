"""Entries of a spool as calls to MLflow. Each may be made twice: MLflow keeps one of two equal numbers.

    {"metrics": {name: value}, "step": step or null, "time": milliseconds since 1970}
    {"artifact": path, relative to the run directory or absolute, "folder": folder of the run's artifacts}
    {"datasets": [fields of DatasetFacts]}
    {"tags": {name: value}}
    {"status": status, "time": milliseconds}

A step of null is the number of seconds since the run began, which the writer may not know.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.tracking.datasets import DatasetFacts, dataset_input
from distributed_hbt.tracking.names import tracking_name
from distributed_hbt.tracking.spool import Entry

METRICS_AT_ONCE = 1000
"""What MLflow's server takes in one request."""
_AT_ONCE = 100
TRAINING = "train/"
"""Start of the names of metrics that every step has once, in order."""


@dataclass(frozen=True)
class StoreRun:
    """A run of a store that has answered; `began`: milliseconds since 1970."""

    client: Any
    run_id: str
    began: int


def batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Metrics that follow each other together, up to 1,000 numbers; everything else by itself."""
    together: list[Entry] = []
    numbers = 0
    for entry in entries:
        count = len(entry["metrics"]) if "metrics" in entry else METRICS_AT_ONCE
        if together and numbers + count > METRICS_AT_ONCE:
            yield together
            together, numbers = [], 0
        together.append(entry)
        numbers += count
    if together:
        yield together


def size(batch: Sequence[Entry]) -> int:
    """What a batch counts for, where it is said how much is lost: each number, file, and so on."""
    return sum(len(entry.get("metrics", "1")) for entry in batch)


def deliver(run: StoreRun, run_dir: Path, batch: Sequence[Entry]) -> None:
    """Make the call of one batch. Raises whatever the store's client raises, OSError for a file that is gone,
    KeyError and TypeError for an entry of another form."""
    first = batch[0]
    if "metrics" in first:
        run.client.log_batch(run.run_id, metrics=[one for entry in batch for one in _metrics(run, entry)])
    elif "artifact" in first:
        run.client.log_artifact(run.run_id, str(run_dir / first["artifact"]), first["folder"] or None)
    elif "datasets" in first:
        inputs = [dataset_input(DatasetFacts(**facts)) for facts in first["datasets"]]
        run.client.log_inputs(run.run_id, datasets=inputs)
    elif "tags" in first:
        write_tags(run.client, run.run_id, first["tags"])
    else:
        run.client.set_terminated(run.run_id, first["status"], first["time"])


def without_steps(entry: Entry, known: Callable[[str, int], bool]) -> Entry | None:
    """The entry without the numbers of training steps that are `known` by name and step: a run that resumes
    does some of them again. None where nothing is left."""
    if "metrics" not in entry or entry["step"] is None:
        return entry
    step = entry["step"]
    left = {
        name: value
        for name, value in entry["metrics"].items()
        if not (name.startswith(TRAINING) and known(name, step))
    }
    return {**entry, "metrics": left} if left else None


def last_steps(entries: Iterable[Entry]) -> dict[str, int]:
    """The last step of each metric of the training."""
    last: dict[str, int] = {}
    for entry in entries:
        for name in entry.get("metrics", ()):
            if name.startswith(TRAINING):
                last[name] = max(last.get(name, -1), entry["step"])
    return last


def steps_in_store(run: StoreRun) -> dict[str, int]:
    """The last step of each metric of the training that the store has. Raises what its client raises."""
    found = run.client.get_run(run.run_id).to_proto().data.metrics
    return {one.key: int(one.step) for one in found if one.key.startswith(TRAINING)}


def all_steps_in_store(run: StoreRun, names: Iterable[str]) -> dict[str, set[int]]:
    """Every step that the store has of these metrics. Raises what its client raises."""
    client, run_id = run.client, run.run_id
    return {name: {int(one.step) for one in client.get_metric_history(run_id, name)} for name in names}


def write_params(client: Any, run_id: str, params: Mapping[str, str]) -> list[str]:
    """Parameters that the run does not have yet, at once; names of those that it has otherwise, and keeps."""
    from mlflow.entities import Param

    present = client.get_run(run_id).data.params
    new = [Param(key, value) for key, value in params.items() if key not in present]
    for first in range(0, len(new), _AT_ONCE):
        client.log_batch(run_id, params=new[first : first + _AT_ONCE])
    return sorted(key for key, value in params.items() if present.get(key, value) != value)


def write_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    """Tags, set anew where the run has them, at once."""
    from mlflow.entities import RunTag

    every = [RunTag(tracking_name(key), value) for key, value in tags.items()]
    for first in range(0, len(every), _AT_ONCE):
        client.log_batch(run_id, tags=every[first : first + _AT_ONCE])


def _metrics(run: StoreRun, entry: Entry) -> Iterator[Any]:
    from mlflow.entities import Metric

    step = entry["step"]
    if step is None:
        step = (entry["time"] - run.began) // 1000
    for name, value in entry["metrics"].items():
        yield Metric(name, value, entry["time"], step)
