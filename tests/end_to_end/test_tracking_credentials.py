"""A run that is tracked by a server which asks for a password."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import check_run_directory, write_config
from distributed_hbt.tracking.fetch import fetch_run
from distributed_hbt.tracking.open import begin_in_store, open_tracker
from tests.mlflow_server import MlflowServer

PASSWORD = "of-the-tests-4711"
RUN = """
name: t
output_dir: {folder}/runs
model:
  architecture: {{model_type: qwen3, hidden_size: 64}}
  tokenizer: {{train: {{vocab_size: 400}}}}
data: {{sources: [{{format: hbt_jsonl, path: train.jsonl}}]}}
tracking: {{uri: "{uri}", tags: {{api_key: {password}}}}}
"""
AUTH = """
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/users.db
admin_username = admin
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that asks for admin's password, as docs/tracking.md starts it."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "auth.ini").write_text(AUTH.format(folder=folder, password=PASSWORD), encoding="utf-8")
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for these tests",
    }
    running = MlflowServer(folder, environment, options=("--app-name", "basic-auth"))
    try:
        running.start()
        yield running.uri
    finally:
        running.end()


def test_the_password_is_used_and_written_nowhere(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password of tracking.uri in config.yaml, mlflow.json or MLflow itself; or a run that, without it,
    can not be gone on with or read back where the environment has the password."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "train.jsonl").touch()
    run_file = tmp_path / "run.yaml"
    uri = server.replace("http://", f"http://admin:{PASSWORD}@")
    run_file.write_text(RUN.format(folder=tmp_path, uri=uri, password=PASSWORD), encoding="utf-8")
    config = load_run(run_file)
    write_config(check_run_directory(config), config)
    tracker = open_tracker(config, config.run_dir, world_size=1)
    tracker.log_artifact(config.run_dir / "config.yaml")
    tracker.finish("KILLED")
    for path in (one for one in config.run_dir.rglob("*") if one.is_file()):
        assert PASSWORD not in path.read_text(encoding="utf-8"), path
    assert json.loads((config.run_dir / "mlflow.json").read_text())["tracking_uri"] == server

    resolved = load_run(config.run_dir / "config.yaml")
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_USERNAME"):
        begin_in_store(resolved, config.run_dir, world_size=1)
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setitem(os.environ, "MLFLOW_TRACKING_PASSWORD", PASSWORD)
    check_run_directory(resolved)
    again = open_tracker(resolved, config.run_dir, world_size=1)
    again.finish("FINISHED")
    assert again.run_id == tracker.run_id
    assert again.run_id is not None
    fetched = fetch_run(server, again.run_id, tmp_path / "fetched")
    assert "admin:***@" in (fetched / "config.yaml").read_text()

    from mlflow import MlflowClient

    data = MlflowClient(server).get_run(again.run_id).data
    assert PASSWORD not in json.dumps([data.params, data.tags])
    assert data.tags["api_key"] == "***"
