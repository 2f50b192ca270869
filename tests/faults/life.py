"""One process tree, watched from outside until the moment of its kill."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tests.faults.kills import Victim
from tests.programs import Programs

LOOK_SECONDS = 0.002
HUNG_SECONDS = 1800.0
"""Nothing here takes that long on any machine: what has not ended by then never will."""


class Life:
    """A program from its start to its end, whichever way it ends."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.began = time.monotonic()
        self._began_at = time.time()
        self._log = log
        self._process = Programs().start(*command, log=log)

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def runs(self) -> bool:
        return self._process.poll() is None

    def has_written(self, path: Path) -> bool:
        """Whether a file or folder was changed since this program began."""
        try:
            return path.stat().st_mtime > self._began_at
        except FileNotFoundError:
            return False

    def wait_until(self, reached: Callable[[], bool]) -> bool:
        """Whether it is reached before the program ends by itself. Raises TimeoutError for one that hangs."""
        deadline = time.monotonic() + HUNG_SECONDS
        while not reached():
            if not self.runs():
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(self.log)
            time.sleep(LOOK_SECONDS)
        return self.runs()

    def kill(self, victim: Victim) -> bool:
        """SIGKILL one rank, or everything at once; whether there was anything left to hit. Returns when all
        of the tree is gone: torchrun ends the other ranks itself."""
        tree = self._tree()
        # A rank that is not there yet, or no longer: then everything.
        hit = [p for p in tree if _rank(p) == victim] or tree
        for process in hit:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if hit:
            self.end()
        _, left = psutil.wait_procs(tree, timeout=HUNG_SECONDS)
        if left:
            raise TimeoutError(f"{[p.pid for p in left]} outlived the kill\n{self.log}")
        return bool(hit)

    def end(self) -> int:
        """Waits for the exit code."""
        try:
            return self._process.wait(HUNG_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.abandon()
            raise TimeoutError(self.log) from error

    def abandon(self) -> None:
        """Leave nothing behind."""
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()

    def _tree(self) -> list[psutil.Process]:
        """Ranks first: torchrun starts no new ones once it is told of none that ended."""
        if not self.runs():
            return []  # its number may be another program's by now
        try:
            root = psutil.Process(self._process.pid)
            return [*root.children(recursive=True), root]
        except psutil.NoSuchProcess:
            return []


def _rank(process: psutil.Process) -> str | None:
    """`rank <n>` of a process that torchrun has started as one; none of its own children's."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        if "distributed_hbt.train" in " ".join(process.cmdline()):
            number = process.environ().get("RANK")
            return None if number is None else f"rank {number}"
    return None


def size(path: Path) -> int:
    """Bytes of a file, 0 where it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def count_files(half: Path) -> int | None:
    """Files of half a write and, of an evaluation, of the jobs' results beside it; None where it is gone."""
    work = half.with_name(f"{half.name.partition('.partial')[0]}.work")
    try:
        if not half.is_dir():
            return None
        return sum(path.is_file() for folder in (half, work) for path in folder.rglob("*"))
    except FileNotFoundError:  # renamed between listing and looking
        return 0
