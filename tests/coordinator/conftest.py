"""Runs that are submitted, and a Ray cluster that is there before them."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.coordinator.documented import documented
from tests.coordinator.submitted import SECONDS_UNTIL_HUNG, Submitted, losses
from tests.distributed.run_for_tests import write_run
from tests.programs import BIN, ROOT, Programs

STEPS, EVERY = 120, 20
"""Of the run: long enough to be hit in the middle."""

Submit = Callable[..., Submitted]


@dataclass(frozen=True)
class Head:
    """A Ray head with a dashboard, started as docs/cluster.md says, of this machine and 4 CPUs.

    `environment` has its token. The head's process id is that of all its descendants' ancestor.
    """

    address: str
    dashboard: str
    environment: dict[str, str]
    pid: int

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)


@pytest.fixture(scope="session")
def head() -> Iterator[Head]:
    """One for all tests that need a cluster which is not their own."""
    with ray_head("--num-cpus=4") as found:
        yield found


@contextlib.contextmanager
def ray_head(*flags: str) -> Iterator[Head]:
    """A head that ends with the block; `flags` say what it has."""
    folder = Path(tempfile.mkdtemp(prefix="hbt-ray-"))  # short: sockets lie in it
    port, dashboard_port = _free_port(), _free_port()
    kept = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    _, *settings = documented("export", {"THE-SAME-EVERYWHERE": secrets.token_hex(32)})
    token = dict(setting.split("=", 1) for setting in settings)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"  # jobs start `python`
    environment = {**kept, **token, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = (
        *documented("ray start --head", {"10.0.0.1": "127.0.0.1", "6379": str(port)}),
        *flags,
        *(f"--dashboard-port={dashboard_port}", "--dashboard-agent-listen-port=0", f"--temp-dir={folder}"),
        "--object-store-memory=100000000",
    )
    log = folder / "head.log"
    try:
        with _ray_node(command, environment, log) as pid:
            yield Head(f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard_port}", environment, pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def ray_worker(head: Head, log: Path, *flags: str) -> Iterator[None]:
    """A second node of the head's cluster, on this machine too, for the time of the block."""
    command = (
        *("ray", "start", "--block", "--disable-usage-stats", f"--address={head.address}", *flags),
        *("--dashboard-agent-listen-port=0", "--node-ip-address=127.0.0.1"),
        "--object-store-memory=100000000",
    )
    with _ray_node(command, head.environment, log):
        yield


@contextlib.contextmanager
def _ray_node(command: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[int]:
    """`ray start --block`, once it is up, for the time of the block; its process id. It ends with the tests,
    however they end."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_until_up(process, log)
        yield process.pid
    finally:
        _end(process)


RUN = {
    "train": {"max_steps": STEPS, "checkpoint_every": EVERY},
    "cluster": {"num_workers": 2, "gpus_per_worker": 0},
}


@pytest.fixture(scope="session")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two ranks; its runs stand in `runs` beside it."""
    return write_run(tmp_path_factory.mktemp("submit"), **RUN)


@pytest.fixture(scope="session")
def whole_losses(run_file: Path, programs: Programs) -> list[float]:
    """Of the same run under torchrun, not disturbed."""
    done = programs.run(*programs.torchrun(run_file, ["name=torchrun"]))
    assert done.returncode == 0, done.stderr
    return losses(run_file.parent / "runs" / "torchrun")


@pytest.fixture
def submit(run_file: Path, tmp_path: Path, programs: Programs) -> Iterator[Submit]:
    """submit(name, *arguments, run_file=..., environment=...) starts `hbt submit` of a run; what still runs
    is ended afterwards."""
    started: list[Submitted] = []

    def start(
        name: str,
        *arguments: str,
        run_file: Path = run_file,
        environment: dict[str, str] | None = None,
    ) -> Submitted:
        log = tmp_path / f"log-{len(started)}"
        process = subprocess.Popen(
            [str(BIN / "hbt"), "submit", str(run_file), f"name={name}", *arguments],
            cwd=ROOT,
            env={**programs.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        started.append(Submitted(process, run_file.parent / "runs" / name, log))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def submit_to_head(submit: Submit, head: Head) -> Submit:
    """The same, on the shared cluster."""

    def start(name: str, *arguments: str, **options: Any) -> Submitted:
        arguments = (*arguments, "--address", head.address)
        return submit(name, *arguments, environment=head.environment, **options)

    return start


def _wait_until_up(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS_UNTIL_HUNG
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
    process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
