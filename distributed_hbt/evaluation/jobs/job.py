"""What a job is, and who does jobs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from distributed_hbt.evaluation.jobs.worker import Worker


class Job(Protocol):
    """A piece of an evaluation: picklable, and the same file from any worker, byte for byte.

    A job writes `output` aside and renames it, so that a file that is there is whole and the job need not
    be done again, also not after everything was killed.
    """

    @property
    def output(self) -> Path:
        """The file (or folder) that the job makes."""
        ...

    @property
    def size(self) -> int:
        """Texts in it, for the progress; 0 for a job that encodes nothing."""
        ...

    @property
    def subject(self) -> str:
        """What it reads, for people: `<file>: rows 1 to 20000`."""
        ...

    def run(self, worker: Worker) -> None:
        """Make `output`. Raises HbtError for what trying again can not mend."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a list of jobs is. `texts_per_second` is of the last while, 0 until known."""

    label: str
    done: int
    total: int
    texts_per_second: float
    seconds_left: float | None

    @property
    def share(self) -> float:
        return self.done / self.total if self.total else 1.0


ProgressSink = Callable[[Progress], None]


class Executor(Protocol):
    """Does jobs, on one process or many."""

    def run(self, jobs: Sequence[Job], label: str) -> None:
        """Do every job whose output is not there yet, in any order. Returns when all outputs are there.

        A job that fails is tried again, elsewhere where possible, up to `evaluation.max_attempts` times;
        an HbtError is not tried again. Raises HbtError: the job's own, or WorkerFailed naming its subject.
        """
        ...
