"""The server as its Deployment starts it, on this machine, with files for database and bucket."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s.check.mlflow_rules import servers, settings_of
from k8s.check.overlays import Rendered


@pytest.fixture(scope="module")
def port(rendered: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of the server, started with the arguments and variables of the manifests."""
    folder = tmp_path_factory.mktemp("mlflow")
    manifests = rendered.mlflow[0]
    (server,) = servers(manifests)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    own = {"0.0.0.0": "127.0.0.1", "5000": str(port), "2": "1"}  # a port and a worker of this machine
    command = [sys.executable, "-m", "mlflow", *(own.get(word, word) for word in server.main["args"])]
    here = {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/m.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder),
    }
    settings = {**settings_of(manifests, server), "HOME": str(folder), **here}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(process, port, folder / "log")
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            assert _status(port, "/health", f"10.0.0.7:{port}") == 200
            return
        time.sleep(0.5)


def _status(port: int, path: str, host: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/health", "10.0.0.7:5000", 200),  # a probe asks the pod's address
        ("/api/2.0/mlflow/experiments/search?max_results=1", "mlflow:5000", 200),
        ("/api/2.0/mlflow/experiments/search?max_results=1", "mlflow.hbt.svc:5000", 200),
        ("/api/2.0/mlflow/experiments/search?max_results=1", "mlflow", 403),
        ("/api/2.0/mlflow/experiments/search?max_results=1", "evil.example:5000", 403),
    ],
)
def test_server_answers_to_the_names_that_are_allowed(port: int, path: str, host: str, status: int) -> None:
    """Catches allowed hosts that MLflow reads otherwise than they are meant: probes or runs get 403, or
    anybody gets in."""
    assert _status(port, path, host) == status
