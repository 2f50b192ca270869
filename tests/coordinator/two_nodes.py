"""A Ray head and a second node, small ones, of which the second can be lost and come back."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.coordinator.documented import documented
from tests.coordinator.machines import Machine, Switch
from tests.coordinator.program import SECONDS_UNTIL_HUNG, Program

if TYPE_CHECKING:
    import psutil

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
# Ray's own patience is a minute with a node that does not answer; a node that is cut off itself waits four
# for its head before it ends, and its ranks with it.
SOON = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "4",
    "RAY_grpc_client_keepalive_time_ms": "8000",
    "RAY_grpc_client_keepalive_timeout_ms": "8000",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "4",
}


class TwoNodes(ABC):
    """The first node is the head. Programs that use the cluster are started on it."""

    form: str
    """What the nodes are, for people."""
    addresses: tuple[str, str]
    """As Ray knows the nodes."""

    def __init__(self, folder: Path, cpus: tuple[int, int]) -> None:
        """`folder` takes the logs."""
        self._folder = folder
        self._cpus = cpus
        self.second_is_lost = False
        self._raylets: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            **SOON,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }

    @property
    @abstractmethod
    def address(self) -> str:
        """The cluster's, host:port."""

    def lose_second(self) -> None:
        """From now on the second node can not be reached."""
        self._lose_second()
        self.second_is_lost = True

    @abstractmethod
    def _lose_second(self) -> None: ...

    @abstractmethod
    def _on(self, node: int, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs `command` on a node."""

    @abstractmethod
    def _head_flags(self) -> tuple[str, ...]: ...

    def start_ray(self) -> None:
        """On both nodes. Raises RuntimeError with what Ray says where one does not come up."""
        self._raylets = [self._start_node(0, "ray start --head", *self._head_flags()), self._start_second()]
        for node in range(2):
            self._wait_for_node(node)

    def bring_second_back(self) -> None:
        """It is a node of the cluster again, with a new raylet."""
        self._raylets[1].wait(SECONDS_UNTIL_HUNG)
        self._raylets[1] = self._start_second()
        self._wait_for_node(1)
        self.second_is_lost = False

    @contextlib.contextmanager
    def program(self, log: Path, *command: str | Path) -> "Iterator[Program]":
        """A program on the head, which is killed at the end of the block."""
        process = subprocess.Popen(
            self._on(0, command),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Program(process, log)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def actors(self, node: int, name: str) -> "list[psutil.Process]":
        """Processes of a node that are actors of that class."""
        import psutil

        found = []
        for process in psutil.Process(self._raylets[node].pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                title = process.cmdline()[:1]
                if title and title[0].split(".")[0].strip() == f"ray::{name}":
                    found.append(process)
        return found

    def close(self) -> None:
        """End both nodes and everything on them."""
        for raylet in self._raylets:
            raylet.kill()
            raylet.wait()

    def _start_second(self) -> subprocess.Popen[bytes]:
        return self._start_node(1, "ray start --address")

    def _start_node(self, node: int, beginning: str, *flags: str) -> subprocess.Popen[bytes]:
        here = {"10.0.0.1": self.addresses[0], "6379": self.address.split(":")[1]}
        if node == 1:
            here["10.0.0.2"] = self.addresses[1]
        _, *words = documented(beginning, here)
        command: list[str | Path] = [
            *(BIN / "ray", *words, f"--num-cpus={self._cpus[node]}"),
            *("--object-store-memory=100000000", "--dashboard-agent-listen-port=0", *flags),
        ]
        return subprocess.Popen(
            self._on(node, command),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log(node).open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _wait_for_node(self, node: int) -> None:
        deadline = time.monotonic() + SECONDS_UNTIL_HUNG
        while "Ray runtime started" not in (said := self._log(node).read_text()):
            if self._raylets[node].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.form}: node {node + 1} does not start:\n{said}")
            time.sleep(0.1)

    def _log(self, node: int) -> Path:
        return self._folder / f"node-{node + 1}.log"


class SeparateNodes(TwoNodes):
    """Each in a machine of its own; the second is lost by its cable. They share the files below `folder`."""

    form = "two machines of network namespaces, of distinct addresses"

    def __init__(self, folder: Path, cpus: tuple[int, int]) -> None:
        super().__init__(folder, cpus)
        self._made = contextlib.ExitStack()
        with self._made:
            self.machines = [self._machine(name) for name in ("node-1", "node-2")]
            self._switch = Switch(self.machines[0])
            self.addresses = (self._switch.hub_address, self._switch.plug(self.machines[1]))
            self._made = self._made.pop_all()

    @property
    def address(self) -> str:
        return f"{self.addresses[0]}:6379"

    def _lose_second(self) -> None:
        self._switch.cut(self.addresses[1])

    def bring_second_back(self) -> None:
        self._switch.mend(self.addresses[1])
        super().bring_second_back()

    def close(self) -> None:
        self._made.close()
        super().close()

    def _machine(self, name: str) -> Machine:
        machine = Machine(name, visible=(self._folder, ROOT, Path(sys.prefix)))
        self._made.callback(machine.close)
        return machine

    def _on(self, node: int, command: Sequence[str | Path]) -> list[str]:
        return self.machines[node].inside(command)

    def _head_flags(self) -> tuple[str, ...]:
        return ("--include-dashboard=false",)


class OneAddress(TwoNodes):
    """Two raylets of this computer, which share its address; the second is lost by being killed."""

    form = "two raylets of one address"

    def __init__(self, folder: Path, cpus: tuple[int, int]) -> None:
        super().__init__(folder, cpus)
        self.addresses = ("127.0.0.1", "127.0.0.1")  # Ray takes another address of this computer instead
        self._port = _free_port()
        self._ray = tempfile.mkdtemp(prefix="hbt-ray-")  # short: sockets lie in it

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def _lose_second(self) -> None:
        import psutil

        raylet = psutil.Process(self._raylets[1].pid)
        for process in [*raylet.children(recursive=True), raylet]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def start_ray(self) -> None:
        super().start_ray()
        said = re.sub(r"\x1b\[[0-9;]*m", "", self._log(0).read_text())  # without colours
        found = re.search(r"Local node IP: ([0-9.]+)", said)
        assert found is not None, said
        self.addresses = (found[1], found[1])

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._ray, ignore_errors=True)

    def _on(self, node: int, command: Sequence[str | Path]) -> list[str]:
        # It ends with the process that started it, however that ends.
        return ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)]

    def _head_flags(self) -> tuple[str, ...]:
        return ("--include-dashboard=false", f"--temp-dir={self._ray}")


@contextlib.contextmanager
def two_nodes(kind: type[TwoNodes], folder: Path, cpus: tuple[int, int]) -> Iterator[TwoNodes]:
    """Nodes with so many CPUs, for the time of the block; `folder` is what they share."""
    nodes = kind(folder, cpus)
    try:
        nodes.start_ray()
        yield nodes
    finally:
        nodes.close()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
