"""The tracker of a run: a new MLflow run, or the one that a resumed run began."""

import json
import logging
from pathlib import Path
from typing import Any

from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import write_aside
from distributed_hbt.tracking.base import Tracker
from distributed_hbt.tracking.git_commit import git_commit
from distributed_hbt.tracking.mlflow_store import connect, default_uri, problems_of
from distributed_hbt.tracking.mlflow_tracker import MlflowTracker, write_params, write_tags
from distributed_hbt.tracking.package_versions import package_versions
from distributed_hbt.tracking.run_facts import run_params, run_tags

RUN_FILE = "mlflow.json"
"""In the run directory: {"tracking_uri", "experiment_id", "run_id"}."""

_log = logging.getLogger(__name__)


def open_tracker(config: RunConfig, run_dir: Path, *, world_size: int) -> Tracker:
    """Begin the run in MLflow, or go on with the one that `run_dir` names.

    Parameters and tags are written before this returns. Raises ConfigError naming tracking.uri where the
    store can not be reached or written; later faults are logged and never stop the run.
    """
    output_dir = Path(config.output_dir)
    uri = config.tracking.uri or default_uri(output_dir)
    client, experiment_id = connect(uri, config.tracking.experiment, output_dir / "mlartifacts")
    with problems_of(uri):
        run = _continued(client, run_dir / RUN_FILE) or client.create_run(experiment_id, run_name=config.name)
        run_id = str(run.info.run_id)
        _write_run_file(run_dir / RUN_FILE, uri, run)
        write_params(client, run_id, run_params(config))
        tags = run_tags(config, world_size=world_size, commit=git_commit(), versions=package_versions())
        write_tags(client, run_id, tags)
    return MlflowTracker(client, run_id, began=run.info.start_time / 1000)


def _write_run_file(path: Path, uri: str, run: Any) -> None:
    """Also for a run that is continued: its store may have moved together with the output directory."""
    content = {"tracking_uri": uri, "experiment_id": run.info.experiment_id, "run_id": run.info.run_id}
    write_aside(path, json.dumps(content, indent=2) + "\n")


def _continued(client: Any, run_file: Path) -> Any:
    """The run that the run directory names, running again; None where it names none or it is gone."""
    from mlflow.exceptions import MlflowException

    if not run_file.exists():
        return None
    try:
        run_id = str(json.loads(run_file.read_text(encoding="utf-8"))["run_id"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(str(run_file), f"names no MLflow run ({error})", "remove the file") from error
    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        found = None
    if found is None or found.info.lifecycle_stage == "deleted":
        _log.warning("MLflow no longer has run %s; a new one is begun", run_id)
        return None
    client.update_run(run_id, status="RUNNING")
    return found
