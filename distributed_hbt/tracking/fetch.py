"""Runs read back from an MLflow store, laid out as run directories, for comparison elsewhere."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed_hbt.errors import ConfigError
from distributed_hbt.masking import masked, without_credentials
from distributed_hbt.tracked_run import TrackedRun
from distributed_hbt.tracking.mlflow_store import open_store

_FILES = ("config.yaml", "train.jsonl")
_OF_A_BENCHMARK = ("summary.json", "per_query.parquet")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of folders that are made here, whatever a server says."""
_NO_RUNS = ("study", "comparison")
_A_PAGE = 1000


def find_runs(uri: str, experiment: str) -> list[str]:
    """Ids of the finished runs of an experiment, newest first; runs that only hold others together (tag
    `hbt.kind: study` or `comparison`) are left out.

    Raises ConfigError where the store can not be reached, or has no such experiment.
    """
    with open_store(uri) as client:
        found = client.get_experiment_by_name(experiment)
        if found is None or found.lifecycle_stage == "deleted":
            names = sorted(one.name for one in client.search_experiments())
            remedy = f"choose among {', '.join(names)}" if names else "it has none at all"
            raise ConfigError(experiment, f"is no experiment of {masked(uri)}", remedy)
        runs = _search(client, found.experiment_id)
        return [run.info.run_id for run in runs if run.data.tags.get("hbt.kind") not in _NO_RUNS]


def fetch_run(uri: str, run_id: str, into: Path) -> Path:
    """Copy what a comparison needs of a run to `into`/<run id>/<run name>, and return that folder.

    It is laid out as a run directory: config.yaml, train.jsonl, mlflow.json, and summary.json and
    per_query.parquet of each evaluation. What was there before is replaced. Raises ConfigError where the
    store can not be reached, has no such run, or the run keeps no config.yaml.
    """
    with open_store(uri) as client:
        run = run_of(client, uri, run_id)
        name = run.info.run_name if _PLAIN.fullmatch(run.info.run_name or "") else "run"
        folder = into / run_id / name
        with _replaced(folder.parent) as partial:
            (partial / name).mkdir(parents=True)
            for path in _wanted(client, run_id):
                _download(client, run_id, path, partial / name / path)
            if not (partial / name / "config.yaml").exists():
                what = "keeps no config.yaml, so it is no run of distributed_hbt"
                raise ConfigError(run_id, what, "name another run")
            TrackedRun(without_credentials(uri), str(run.info.experiment_id), run_id).write(partial / name)
        return folder


def _search(client: Any, experiment_id: str) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id],
            filter_string="attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
            max_results=_A_PAGE,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def run_of(client: Any, uri: str, run_id: str) -> Any:
    """The run; raises ConfigError where the store has none of this id."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        what = f"is no run of {masked(uri)}"
        raise ConfigError(run_id, what, "name one by its id, which MLflow's pages show") from error


def _wanted(client: Any, run_id: str) -> Iterator[str]:
    there = {artifact.path for artifact in client.list_artifacts(run_id) if not artifact.is_dir}
    yield from (name for name in _FILES if name in there)
    for step in _folders(client, run_id, "evaluation"):
        for benchmark in _folders(client, run_id, step):
            files = {artifact.path for artifact in client.list_artifacts(run_id, benchmark)}
            yield from (path for name in _OF_A_BENCHMARK if (path := f"{benchmark}/{name}") in files)


def _download(client: Any, run_id: str, path: str, target: Path) -> None:
    """Stores differ in whether they keep the folders of a path."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        Path(client.download_artifacts(run_id, path, folder)).replace(target)


def _folders(client: Any, run_id: str, below: str) -> Iterator[str]:
    for artifact in client.list_artifacts(run_id, below):
        name = artifact.path.rpartition("/")[2]
        if artifact.is_dir and _PLAIN.fullmatch(name):
            yield f"{below}/{name}"


@contextlib.contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A folder beside `folder`, which takes its place at the end."""
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
