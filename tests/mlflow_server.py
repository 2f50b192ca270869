"""A real MLflow server on this machine."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

_SECONDS = 120
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""The server starts faster, without the processes that judge what language models say."""


class MlflowServer:
    """`mlflow server` on a port of its own, which it keeps when it is ended and started again.

    `environment` says where it keeps things (MLFLOW_BACKEND_STORE_URI, MLFLOW_ARTIFACTS_DESTINATION);
    default: everything below `folder`.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._options = options
        self._port = free_port()
        self._environment = {
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/server.db",
            "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
            **WITHOUT_JOBS,
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"
        self.log = folder / "server.log"

    def allow_only_its_own_address(self) -> None:
        """Requests for other hosts are refused, from the next start on."""
        self._environment["MLFLOW_SERVER_ALLOWED_HOSTS"] = self.uri.removeprefix("http://")

    def start(self) -> None:
        """Returns once it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self._port), "--workers", "1", *self._options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                env={**os.environ, **self._environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait(self._process)

    def end(self) -> None:
        """The server and its worker, which waits for open connections: not for ever."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)

    def kill(self) -> None:
        """As when its machine is lost: what it has in hand is not finished."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for _ in range(_SECONDS * 2):
            assert process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError), opener.open(f"{self.uri}/health", timeout=5):
                return
            time.sleep(0.5)
        raise AssertionError(f"no server after {_SECONDS} s: {self.log.read_text()}")


@contextlib.contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The address of a server that keeps everything below `folder`, ended by its process id."""
    server = MlflowServer(folder)
    try:
        server.start()
        yield server.uri
    finally:
        server.end()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
