"""Whether an MLflow store takes a run: python -m distributed_hbt.tracking.probe, the question on stdin.

A process of its own is asked: MLflow tries again for minutes where a server does not answer as it should. The
question comes by stdin, since an address may hold a password, which other users would see among arguments.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from distributed_hbt.errors import ConfigError, HbtError
from distributed_hbt.masking import masked
from distributed_hbt.tracking.mlflow_store import connect, database_file, default_uri, is_server, open_store

_NAME = "hbt-doctor"


def main() -> None:
    """Read {"uri", "experiment", "output_dir", "folder"}; write {"status", "text", "remedy"}."""
    given = json.load(sys.stdin)
    try:
        answer = ask(given["uri"], given["experiment"], given["output_dir"], Path(given["folder"]))
    except HbtError as error:
        text = f"{error.where}: {error.what}"
        answer = {"status": "failure", "text": text, "remedy": error.remedy}
    print(json.dumps(answer))


def ask(uri: str | None, experiment: str, output_dir: str | None, folder: Path) -> dict[str, str]:
    """Write a run, a metric and a file, and take them away again; status, text and remedy.

    `uri` None: the database file of `output_dir`. Where the file is not there yet, it is tried in a temporary
    folder in `folder`, and not made. Raises ConfigError where the store refuses.
    """
    if uri is None and output_dir is not None:
        uri = default_uri(Path(output_dir))
    database = None if uri is None else database_file(uri)
    if uri is None or (database is not None and not database.exists()):
        return _in_new_database(folder)
    with open_store(uri) as client:
        found = _experiment(client, uri, experiment)
        if found is None:
            text = f"{masked(uri)} answers, but has no experiment in which to try a run"
            remedy = f"nothing to do: {experiment} is made by the first run"
            return {"status": "warning", "text": text, "remedy": remedy}
        left = _try_run(client, uri, found)
    text = f"{masked(uri)} took a run of experiment {found.name}, a metric and a file{left}"
    return {"status": "ok", "text": text, "remedy": ""}


def _in_new_database(folder: Path) -> dict[str, str]:
    with tempfile.TemporaryDirectory(dir=folder, prefix=".hbt-doctor-") as temporary:
        uri = default_uri(Path(temporary))
        client, experiment_id = connect(uri, _NAME, Path(temporary) / "mlartifacts")
        _try_run(client, uri, client.get_experiment(experiment_id))
    text = f"{folder} takes an SQLite database of MLflow (tried in a temporary folder, which is gone)"
    return {"status": "ok", "text": text, "remedy": ""}


def _experiment(client: Any, uri: str, name: str) -> Any:
    """The run's experiment, or any other while it is still to be made; None where there is none at all.

    It is not made here: a deleted experiment keeps its name from being used again. Raises ConfigError where
    it was deleted.
    """
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        what = f"{name} was deleted in {masked(uri)}"
        raise ConfigError("tracking.experiment", what, "restore it there, or choose another name")
    return found or next(iter(client.search_experiments(max_results=1)), None)


def _try_run(client: Any, uri: str, experiment: Any) -> str:
    """Write a run with a metric and a file, and delete it; what stays of it, for people."""
    run = client.create_run(experiment.experiment_id, run_name=_NAME)
    run_id = str(run.info.run_id)
    try:
        client.log_metric(run_id, "written", 1.0)
        client.log_text(run_id, "written\n", "written.txt")
        _delete_files(str(run.info.artifact_uri), uri)
    finally:
        client.delete_run(run_id)
        if not is_server(uri):
            client._tracking_client.store._hard_delete_run(run_id)  # what `mlflow gc` calls
    if is_server(uri):  # which offers nothing of the kind
        return "; the run is deleted there, and gone for good with the server's next `mlflow gc`"
    return ", which are gone again"


def _delete_files(artifact_uri: str, uri: str) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(artifact_uri, tracking_uri=uri)
    repository.delete_artifacts()
    parts = urlsplit(artifact_uri)
    if parts.scheme in ("", "file"):  # the run's own folder, around `artifacts`, is left by MLflow
        shutil.rmtree(Path(unquote(parts.path)).parent, ignore_errors=True)


if __name__ == "__main__":
    main()
