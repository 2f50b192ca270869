"""Exported encoders in MLflow's model registry, beside the run that trained them."""

import contextlib
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.config import yaml_file
from distributed_hbt.config.load import validate
from distributed_hbt.config.run import TrackingConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.masking import connectable, masked
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.tracked_run import TrackedRun
from distributed_hbt.tracking.begin import find_run
from distributed_hbt.tracking.mlflow_store import connect, default_uri, problems_of
from distributed_hbt.tracking.package_versions import package_versions

_NAME = re.compile(r"[^/:\s][^/:]*")
_NEEDED = ("distributed-hbt", "torch", "transformers", "peft", "mlflow")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registry:
    """Where a model goes: a store, a name in it, and the run that it came from, where that is known."""

    client: Any
    uri: str
    name: str
    experiment_id: str
    run_id: str | None

    def register(self, folder: Path, *, step: int | None = None) -> str:
        """Log an exported folder as a model and make it the next version; returns `models:/<name>/<version>`.

        `step` is that of the checkpoint. Raises ConfigError where the store refuses it.
        """
        with problems_of(self.uri), _chosen(self.uri):
            model = self.client.create_logged_model(
                self.experiment_id, name="encoder", source_run_id=self.run_id, model_type="encoder"
            )
            with tempfile.TemporaryDirectory(dir=folder.absolute().parent) as beside:
                _save(folder, Path(beside) / "model", model, self.run_id)
                self.client.log_model_artifacts(model.model_id, str(Path(beside) / "model"))
            self.client.finalize_logged_model(model.model_id, "READY")
            if self.run_id is not None:
                _link(self.client, self.run_id, model.model_id, step or 0)
            _make(self.client, self.name)
            version = self.client.create_model_version(
                self.name, model.artifact_location, run_id=self.run_id, model_id=model.model_id
            )
            return f"models:/{self.name}/{version.version}"


def open_registry(name: str, uri: str | None, around: RunDirectory | None) -> Registry:
    """The registry at `uri`, by default that of the run around the checkpoint; it is found out
    before anything is exported whether it can be used.

    Raises ConfigError for a name that MLflow does not take, and where there is no store, or none is known.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError("--register", f"{name!r} is no name of a model", "leave out / and :")
    trained = None if around is None else TrackedRun.of(around.path)
    uri = uri or (trained.tracking_uri if trained else None)
    if uri is None:
        what = "the checkpoint has no run around it that says which store"
        raise ConfigError("--tracking-uri", what, f"give one, as {default_uri(Path('runs'))}")
    uri = connectable(uri)
    folder = Path("runs") if around is None else around.path.parent
    client, experiment_id = connect(uri, _experiment(around), folder / "mlartifacts")
    run = None if trained is None else find_run(client, trained.run_id)
    if run is None and trained is not None:
        _log.warning("%s has no run %s: the model is not linked to it", masked(uri), trained.run_id)
    if run is not None:
        experiment_id = str(run.info.experiment_id)
    return Registry(client, uri, name, experiment_id, None if run is None else str(run.info.run_id))


@contextlib.contextmanager
def _chosen(uri: str) -> Iterator[None]:
    """MLflow looks some things up in the store of the process, even when a client of another one asks."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _experiment(around: RunDirectory | None) -> str:
    """That of the run; where there is none, or it is not found in the store, models are kept in this one."""
    if around is None:
        return TrackingConfig().experiment
    return validate(yaml_file.read(around.config)).tracking.experiment


def _save(folder: Path, path: Path, model: Any, run_id: str | None) -> None:
    """Write MLflow's own form of a model, with a copy of the folder in it."""
    import mlflow.pyfunc
    import numpy as np
    import pandas as pd
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    dimension = EncoderManifest.read(folder).embedding_dimension
    columns = Schema([ColSpec("string", "text"), ColSpec("string", "kind")])
    embeddings = Schema([TensorSpec(np.dtype("float32"), (-1, dimension), "embedding")])
    texts = ["Who wrote Faust?", "Faust is a tragedy by Goethe."]
    known = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        run_id=run_id,
        model_id=model.model_id,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, inside MLflow
        mlflow.pyfunc.save_model(
            str(path),
            loader_module="distributed_hbt.tracking.encoder_model",
            data_path=str(folder.absolute()),
            signature=ModelSignature(inputs=columns, outputs=embeddings),
            input_example=pd.DataFrame({"text": texts, "kind": ["query", "passage"]}),
            pip_requirements=[f"{name}=={version}" for name, version in package_versions(_NEEDED).items()],
            mlflow_model=known,
        )


def _link(client: Any, run_id: str, model_id: str, step: int) -> None:
    from mlflow.entities import LoggedModelOutput

    client.log_outputs(run_id, models=[LoggedModelOutput(model_id, step)])


def _make(client: Any, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
