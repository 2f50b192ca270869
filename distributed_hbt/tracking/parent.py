"""A run that stands for several: a study, or a comparison. Its children name it."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.tracking.base import Status
from distributed_hbt.tracking.begin import begin_run
from distributed_hbt.tracking.deliver import write_tags
from distributed_hbt.tracking.mlflow_store import connect, problems_of

KIND = "hbt.kind"
"""Tag of runs that have trained nothing: study, comparison."""
PARENT = "mlflow.parentRunId"
"""Tag of a child: MLflow's pages nest it below its parent."""


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
        run_id = str(begin_run(client, uri, experiment_id, name, folder).info.run_id)
        write_tags(client, run_id, tags)
    return ParentRun(client, run_id, uri)


def log_comparison(uri: str, experiment: str, name: str, report: Path) -> str:
    """Keep a report in a run of its own; that run's id. Raises ConfigError where the store fails."""
    with tempfile.TemporaryDirectory(prefix="hbt-comparison-") as folder:
        artifacts = report.absolute().parent / "mlartifacts"
        parent = open_parent(uri, experiment, artifacts, name, Path(folder), {KIND: "comparison"})
        parent.log_report(report)
        parent.finish("FINISHED")
    return parent.run_id
