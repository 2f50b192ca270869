"""Machines that are only namespaces: a network, host name, process tree and mounts of their own, on one
computer. Nothing is named outside of them and nothing stays behind: when a machine's first process ends, and
it ends with the process that made it, the kernel ends all others in it and removes its network and mounts."""

import contextlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

KINDS = ("--net", "--uts", "--ipc", "--mount", "--pid")
TMP = Path("/tmp")
SECONDS_UNTIL_HUNG = 60

# It reaps orphans, as a machine's first process has to, and ends when its input is closed.
FIRST_PROCESS = """
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
sys.stdin.read()
"""


class Machine:
    """A machine of that host name, with loopback, /dev/shm and /tmp of its own. It shares all other files
    with this computer, and of /tmp what is `visible`. As on many machines its name is an address of loopback
    (/etc/hosts). Raises OSError where the kernel does not let this user make one."""

    def __init__(self, name: str, visible: Sequence[Path] = ()) -> None:
        self.name = name
        self._holder = subprocess.Popen(
            [
                "unshare",
                *KINDS,
                "--fork",
                "--kill-child",
                "--mount-proc",
                sys.executable,
                "-SEc",
                FIRST_PROCESS,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != "ready\n":
            raise OSError(self._holder.stderr.read().strip())
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.first_process = int(children.read_text())
        self.run("hostname", name)
        self.run("ip", "link", "set", "lo", "up")
        self._mount_tmp([path.resolve() for path in visible])

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs `command` in this machine."""
        return ["nsenter", f"--target={self.first_process}", *KINDS, "--", *map(str, command)]

    def run(self, *command: str | Path) -> str:
        """Run a command in this machine; what it printed. Raises RuntimeError if it fails."""
        done = subprocess.run(
            self.inside(command), capture_output=True, text=True, timeout=SECONDS_UNTIL_HUNG, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {command}: {done.stderr}")
        return done.stdout

    def close(self) -> None:
        """End every process of the machine."""
        self._holder.kill()
        self._holder.communicate()

    def _mount_tmp(self, visible: Sequence[Path]) -> None:
        own = Path("/dev/shm/tmp")
        hosts = f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n"
        commands = ["mount -t tmpfs -o size=1g tmpfs /dev/shm", f"mkdir {own}"]
        for path in visible:
            if path.is_relative_to(TMP):
                place = own / path.relative_to(TMP)
                commands += [f"mkdir -p '{place}'", f"mount --bind '{path}' '{place}'"]
        commands += [f"mount --rbind {own} {TMP}", f"printf '{hosts}' > {TMP}/hosts"]
        commands += [f"mount --bind {TMP}/hosts /etc/hosts"]
        self.run("sh", "-ec", "\n".join(commands))


class Switch:
    """A network between machines. It stands in one of them, `hub`, which has its first address."""

    def __init__(self, hub: Machine, subnet: str = "10.83.0") -> None:
        self._hub = hub
        self._subnet = subnet
        self._ports: dict[str, str] = {}
        self.hub_address = f"{subnet}.1"
        hub.run("ip", "link", "add", "switch0", "type", "bridge")
        hub.run("ip", "address", "add", f"{self.hub_address}/24", "dev", "switch0")
        hub.run("ip", "link", "set", "switch0", "up")

    def plug(self, machine: Machine) -> str:
        """Connect a machine; its address."""
        number = len(self._ports) + 2
        address, port = f"{self._subnet}.{number}", f"port{number}"
        far_end = ("peer", "name", "eth0", "netns", str(machine.first_process))
        # `ip` is given a process id as this computer has it, and so enters the hub's network alone.
        command = ("ip", "link", "add", port, "type", "veth", *far_end)
        subprocess.run(["nsenter", f"--target={self._hub.first_process}", "--net", *command], check=True)
        self._hub.run("ip", "link", "set", port, "master", "switch0", "up")
        machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
        self._ports[address] = port
        return address

    def cut(self, address: str) -> None:
        """Pull the cable of that machine: no packet passes any more, in either direction."""
        self._hub.run("ip", "link", "set", self._ports[address], "down")

    def mend(self, address: str) -> None:
        """Plug the cable in again."""
        self._hub.run("ip", "link", "set", self._ports[address], "up")


def why_no_machines() -> str | None:
    """Why this computer does not allow them; None where it does."""
    try:
        with contextlib.ExitStack() as made:
            machines = [Machine(name) for name in ("a", "b")]
            for machine in machines:
                made.callback(machine.close)
            Switch(machines[0]).plug(machines[1])
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return " ".join(str(error).split())
    return None
