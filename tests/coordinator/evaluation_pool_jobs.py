"""Small jobs for the tests of the evaluation pool: each row is written, and reported, one after the other."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.jobs.worker import Worker
from distributed_hbt.evaluation.whole_file import written_whole

SECONDS_UNTIL_HUNG = 120


@dataclass(frozen=True)
class Rows:
    """Writes its rows to `<folder>/<index>.txt`; says in `<folder>/started` that it began, and by whom."""

    folder: Path
    index: int
    rows: int = 4
    seconds: float = 0.0

    @property
    def output(self) -> Path:
        return self.folder / f"{self.index}.txt"

    @property
    def size(self) -> int:
        return self.rows

    @property
    def subject(self) -> str:
        return f"corpus-{self.index}.jsonl: rows 1 to {self.rows}"

    def run(self, worker: Worker) -> None:
        attempt = len(attempts(self.folder, self.index)) + 1
        with (self.folder / "started").open("a") as file:
            file.write(f"{self.index} {os.getpid()}\n")
        lines = []
        for row in range(1, self.rows + 1):
            self.at_row(row, attempt, worker)
            lines.append(f"job {self.index} row {row}\n")
            worker.advance(1, f"corpus-{self.index}.jsonl:{row}")
            time.sleep(self.seconds)
        with written_whole(self.output) as partial:
            partial.write_text("".join(lines))

    def at_row(self, row: int, attempt: int, worker: Worker) -> None:
        """What goes wrong here, in other jobs."""


@dataclass(frozen=True)
class Together(Rows):
    """Waits until jobs run in so many processes."""

    processes: int = 1

    def at_row(self, row: int, attempt: int, worker: Worker) -> None:
        wait_for(lambda: len(set(processes(self.folder))) >= self.processes)


@dataclass(frozen=True)
class Faulty(Rows):
    """In its first `faults` attempts something happens at the third row."""

    faults: int = 1000

    def at_row(self, row: int, attempt: int, worker: Worker) -> None:
        if row == 3 and attempt <= self.faults:
            self.happens(worker)

    def happens(self, worker: Worker) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Waiting(Faulty):
    """It does not go on until there is a file `go`."""

    def happens(self, worker: Worker) -> None:
        wait_for(lambda: (self.folder / "go").exists())


@dataclass(frozen=True)
class Killed(Waiting):
    """Its process is killed, when the test says so."""

    def happens(self, worker: Worker) -> None:
        super().happens(worker)
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Frozen(Faulty):
    """Its process stops: it neither advances nor answers."""

    def happens(self, worker: Worker) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)


@dataclass(frozen=True)
class Stuck(Faulty):
    """Its process answers, but does not advance."""

    def happens(self, worker: Worker) -> None:
        time.sleep(SECONDS_UNTIL_HUNG)


@dataclass(frozen=True)
class Raising(Faulty):
    """What comes from the machine."""

    def happens(self, worker: Worker) -> None:
        raise OSError(5, "Input/output error")


@dataclass(frozen=True)
class Refusing(Faulty):
    """What trying again can not mend."""

    def happens(self, worker: Worker) -> None:
        raise DataError(f"corpus-{self.index}.jsonl:3", "has no text", "remove the row")


@dataclass(frozen=True)
class RefusingLater(Waiting):
    """It raises for the user when the test says so."""

    def happens(self, worker: Worker) -> None:
        super().happens(worker)
        raise DataError(f"corpus-{self.index}.jsonl:3", "has no text", "remove the row")


@dataclass(frozen=True)
class Unseen(Rows):
    """Says that it is done where its output can not be seen from elsewhere."""

    def run(self, worker: Worker) -> None:
        super().run(worker)
        self.output.unlink()


@dataclass(frozen=True)
class Unreadable(Rows):
    """Can not be unpickled where it is sent."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("this is no job",)


@dataclass(frozen=True)
class Threads(Rows):
    """Writes how many threads its process computes with."""

    def run(self, worker: Worker) -> None:
        import torch

        names = ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM")
        numbers = [str(torch.get_num_threads()), *(os.environ[name] for name in names)]
        with written_whole(self.output) as partial:
            partial.write_text(" ".join(numbers))


def started(folder: Path) -> list[tuple[int, int]]:
    """(index, process id) of every attempt so far."""
    path = folder / "started"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(index), int(pid)) for index, pid in map(str.split, lines)]


def attempts(folder: Path, index: int) -> list[int]:
    """Process ids of the attempts at one job."""
    return [pid for of, pid in started(folder) if of == index]


def processes(folder: Path) -> list[int]:
    """Process ids of all attempts."""
    return [pid for _, pid in started(folder)]


def is_alive(pid: int) -> bool:
    """Whether the process runs; what only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_for(condition: Callable[[], bool]) -> None:
    """Raises TimeoutError where a hang would be."""
    deadline = time.monotonic() + SECONDS_UNTIL_HUNG
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
