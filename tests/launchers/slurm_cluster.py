"""Slurm with two nodes on loopback: daemons, key, ports and folders of its own, none of this machine's."""

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "squeue", "scancel", "scontrol", "srun")
SECONDS_UNTIL_HUNG = 900

# Nodes claim more CPUs than there are, and GPUs that are plain files: a job that asks for the hardware of a
# real cluster is placed, while one that asks for little runs. A requeued job may run again only once its old
# credential has expired, after two minutes by default.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
SlurmctldPort={controller_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
KillWait=60
GresTypes=gpu
NodeName=n[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports} CPUs=64 RealMemory=1000 Gres=gpu:8
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing_programs() -> list[str]:
    """What of Slurm is not installed here."""
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"
    return [program for program in (*DAEMONS, *CLIENTS) if shutil.which(program, path=path) is None]


class SlurmCluster:
    """`environment` is that of a user of the cluster."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """`folder` is short: sockets lie in it."""
        self._folder = folder
        self.environment = {
            **environment,
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{environment['PATH']}{os.pathsep}/usr/sbin",
        }
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Raises AssertionError with the logs where the nodes do not come up."""
        self._write_configuration()
        files = [f"--{what}-file={self._folder}/munge.{what}" for what in ("key", "log", "pid", "seed")]
        self._start("munged", "--foreground", "--force", f"--socket={self._folder}/munge.socket", *files)
        self._wait_until(lambda: (self._folder / "munge.socket").exists())
        self._start("slurmctld", "-D", "-i")
        for node in ("n1", "n2"):
            self._start("slurmd", "-D", "-N", node)
        self._wait_until(lambda: self.ask("sinfo", "--noheader", "--format=%D %t").strip() == "2 idle")

    def ask(self, *command: str) -> str:
        """Run a client and return what it printed; nothing where it failed."""
        return self.client(*command).stdout

    def client(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a client."""
        return subprocess.run(
            command,
            cwd=cwd,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_UNTIL_HUNG,
            check=False,
        )

    def facts(self, job: str) -> dict[str, str]:
        """What the controller knows of a job: JobState, Restarts, ExitCode, ..."""
        words = self.ask("scontrol", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def close(self) -> None:
        """End all jobs and then the daemons."""
        self.ask("scancel", "--signal=KILL", "--full", f"--user={getpass.getuser()}")
        self.ask("scancel", f"--user={getpass.getuser()}")
        with contextlib.suppress(AssertionError):
            self._wait_until(lambda: not self.ask("squeue", "--noheader").strip())
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait()

    def _write_configuration(self) -> None:
        (self._folder / "state").mkdir()
        (self._folder / "munge.key").write_bytes(secrets.token_bytes(32))
        (self._folder / "munge.key").chmod(0o400)
        ports = _free_ports(3)
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            folder=self._folder,
            controller_port=ports[0],
            node_ports=f"[{ports[1]},{ports[2]}]",
        )
        (self._folder / "slurm.conf").write_text(text)
        for number in range(8):
            (self._folder / f"gpu{number}").touch()
        (self._folder / "gres.conf").write_text(f"Name=gpu File={self._folder}/gpu[0-7]\n")

    def _start(self, *command: str) -> None:
        log = self._folder / f"{command[0]}-{len(self._daemons)}.out"
        # It ends with the tests, however they end.
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        self._daemons.append(process)

    def _wait_until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS_UNTIL_HUNG
        while not true():
            alive = all(daemon.poll() is None for daemon in self._daemons)
            assert alive, self._logs()
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.1)

    def _logs(self) -> str:
        files = sorted([*self._folder.glob("*.out"), *self._folder.glob("*.log")])
        return "\n".join(f"{file.name}:\n{file.read_text()}" for file in files)


@contextlib.contextmanager
def slurm_cluster(folder: Path, environment: Mapping[str, str]) -> Iterator[SlurmCluster]:
    """A cluster for the time of the block."""
    cluster = SlurmCluster(folder, environment)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
