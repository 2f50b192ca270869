"""The jobs of one list: what waits, what was tried where, what is done."""

import logging
import time
from collections import deque
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from distributed_hbt.coordinator.evaluation_pool_actor import Home
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.evaluation.jobs.job import Job

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """What is put up with. Seconds, but for `attempts` of a job.

    `start`: without any actor. `stall`: an actor that does not advance. `output`: until the file of a job
    that is done is seen here; a network file system may show it late. `pause`: before a job that raised is
    tried again. `tick`: between looks at all actors.
    """

    attempts: int
    start: float
    stall: float
    output: float = 75.0
    pause: float = 2.0
    tick: float = 1.0


@dataclass(eq=False)
class Task:
    """A job, and what became of it so far. `place` is where it was last seen, `failed_on` are node ids; until
    `rests_until` (monotonic seconds) it is not tried again. An abandoned one is no longer waited for."""

    job: Job
    attempts: int = 0
    place: str = ""
    failed_on: set[str] = field(default_factory=set)
    rests_until: float = 0.0
    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A task that is said to be done, and until when its output is looked for."""

    task: Task
    home: Home
    until: float


class Backlog:
    """Tasks that no actor has in hand."""

    def __init__(self, jobs: Sequence[Job], patience: Patience, already: int) -> None:
        """`already`: texts of the list that were done before."""
        self._waiting = deque(Task(job) for job in jobs)
        self._unseen: list[_Unseen] = []
        self._patience = patience
        self.texts_done = already

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._unseen

    def next_for(self, home: Home, node_ids: Set[str]) -> Task | None:
        """Takes out the next task for an actor that lives at `home`; None where there is none for it now.

        A job that failed goes to another node as long as one of `node_ids`, where actors live, has not
        failed it.
        """
        now = time.monotonic()
        for task in self._waiting:
            elsewhere = home.node_id in task.failed_on and not task.failed_on >= node_ids
            if task.rests_until <= now and not elsewhere:
                self._waiting.remove(task)
                return task
        return None

    def take_back(self, task: Task) -> None:
        """The task is the next one again: its actor was taken away, which is nobody's failure."""
        self._waiting.appendleft(task)

    def ended(self, task: Task, home: Home) -> None:
        """The actor at `home` says that the task is done: so it is when its output is there."""
        self._unseen.append(_Unseen(task, home, time.monotonic() + self._patience.output))
        self.look_for_outputs()

    def look_for_outputs(self) -> None:
        """Raises WorkerFailed when an output has not come on the last attempt."""
        unseen, self._unseen = self._unseen, []
        for one in unseen:
            if one.task.job.output.exists():
                self.texts_done += one.task.job.size
            elif time.monotonic() < one.until:
                self._unseen.append(one)
            else:
                why = (
                    f"it was done, but {one.task.job.output} is not to be seen here: the run directory has "
                    "to lie on a file system that all nodes share, under one path"
                )
                self.failed(one.task, one.home, why)

    def failed(self, task: Task, home: Home, why: str, place: str = "", *, rest: bool = False) -> None:
        """An attempt failed, at `place` where that is known. The task is the next one again, after a pause
        if it is to `rest`. Raises WorkerFailed after the last attempt."""
        task.attempts += 1
        task.failed_on.add(home.node_id)
        task.place = place or task.place
        where = task.place or task.job.subject
        of = self._patience.attempts
        if task.attempts >= of:
            times = "once" if of == 1 else f"{of} times, the last time"
            what = f"failed {times} on {home.name} ({why})"
            raise WorkerFailed(where, what, "see the error; what is done is kept, start again to go on")
        _log.warning("%s: failed on %s (%s); attempt %d of %d", where, home.name, why, task.attempts + 1, of)
        task.rests_until = time.monotonic() + (self._patience.pause if rest else 0.0)
        self._waiting.appendleft(task)
