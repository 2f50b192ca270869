"""What MLflow has recorded of a run, by its mlflow.json."""

from collections.abc import Mapping
from pathlib import Path

from distributed_hbt.tracked_run import TrackedRun
from distributed_hbt.tracking.fetch import run_of
from distributed_hbt.tracking.mlflow_store import open_store


def recorded_tags(folder: Path) -> Mapping[str, str]:
    """The tags of the run that the folder names; none where it names none.

    Raises ConfigError where its mlflow.json is damaged, or the store can not be reached or lacks the run.
    """
    run = TrackedRun.of(folder)
    if run is None:
        return {}
    with open_store(run.tracking_uri) as client:
        tags: Mapping[str, str] = dict(run_of(client, run.tracking_uri, run.run_id).data.tags)
        return tags
