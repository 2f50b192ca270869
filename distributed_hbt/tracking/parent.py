"""A run that stands for several: a study, or a comparison. Its children name it."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import write_aside
from distributed_hbt.tracking.base import Status
from distributed_hbt.tracking.mlflow_store import connect, problems_of
from distributed_hbt.tracking.mlflow_tracker import write_tags

KIND = "hbt.kind"
"""Tag of runs that have trained nothing: study, comparison."""
PARENT = "mlflow.parentRunId"
"""Tag of a child: MLflow's pages nest it below its parent."""

_RUN_FILE = "mlflow.json"


@dataclass(frozen=True)
class ParentRun:
    """An MLflow run without steps."""

    client: Any
    run_id: str
    uri: str

    def log_report(self, folder: Path) -> None:
        """Keep a copy of a report below `report/`. Raises ConfigError where the store fails."""
        with problems_of(self.uri):
            self.client.log_artifacts(self.run_id, str(folder), "report")

    def finish(self, status: Status) -> None:
        """Raises ConfigError where the store fails."""
        with problems_of(self.uri):
            self.client.set_terminated(self.run_id, status)


def open_parent(
    uri: str, experiment: str, artifacts: Path, name: str, folder: Path, tags: Mapping[str, str]
) -> ParentRun:
    """Begin the run, or go on with the one that `folder` names in mlflow.json.

    `artifacts`: where they go without a server. Raises ConfigError naming tracking.uri.
    """
    client, experiment_id = connect(uri, experiment, artifacts)
    with problems_of(uri):
        run = _known(client, folder / _RUN_FILE) or client.create_run(experiment_id, run_name=name)
        run_id = str(run.info.run_id)
        client.update_run(run_id, status="RUNNING")
        content = {"tracking_uri": uri, "experiment_id": run.info.experiment_id, "run_id": run_id}
        write_aside(folder / _RUN_FILE, json.dumps(content, indent=2) + "\n")
        write_tags(client, run_id, tags)
    return ParentRun(client, run_id, uri)


def _known(client: Any, run_file: Path) -> Any:
    """The run that the file names; None where there is no file, or MLflow has it no longer."""
    from mlflow.exceptions import MlflowException

    if not run_file.exists():
        return None
    try:
        run_id = str(json.loads(run_file.read_text(encoding="utf-8"))["run_id"])
        found = client.get_run(run_id)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(str(run_file), f"names no MLflow run ({error})", "remove the file") from error
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return None if found.info.lifecycle_stage == "deleted" else found


def log_comparison(uri: str, experiment: str, name: str, report: Path) -> str:
    """Keep a report in a run of its own; that run's id. Raises ConfigError where the store fails."""
    with tempfile.TemporaryDirectory(prefix="hbt-comparison-") as folder:
        artifacts = report.absolute().parent / "mlartifacts"
        parent = open_parent(uri, experiment, artifacts, name, Path(folder), {KIND: "comparison"})
        parent.log_report(report)
        parent.finish("FINISHED")
    return parent.run_id
