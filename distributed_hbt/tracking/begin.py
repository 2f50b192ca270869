"""A run in a store: a new one, or the one that a folder names."""

import logging
from pathlib import Path
from typing import Any

from distributed_hbt.masking import without_credentials
from distributed_hbt.tracked_run import TrackedRun

_log = logging.getLogger(__name__)


def begin_run(client: Any, uri: str, experiment_id: str, name: str, folder: Path) -> Any:
    """The run that `folder` names, running again, or a new one where it names none or the store has it no
    longer; the folder names it from then on.

    The store may have moved together with the folder: what is written is where the run is now, without its
    credentials. Raises ConfigError for a damaged mlflow.json, MlflowException where the store fails.
    """
    known = TrackedRun.of(folder)
    run = None if known is None else find_run(client, known.run_id)
    if run is not None:
        client.update_run(run.info.run_id, status="RUNNING")
    else:
        if known is not None:
            _log.warning("MLflow no longer has run %s; a new one is begun", known.run_id)
        run = client.create_run(experiment_id, run_name=name)
    TrackedRun(without_credentials(uri), str(run.info.experiment_id), str(run.info.run_id)).write(folder)
    return run


def find_run(client: Any, run_id: str) -> Any:
    """None where the store lacks it, or has it among the deleted. Raises MlflowException where it fails."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return None if found.info.lifecycle_stage == "deleted" else found
