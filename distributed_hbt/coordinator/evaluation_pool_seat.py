"""One place of the evaluation pool: an actor, the next one when that is lost, and what it has in hand."""

import time
from typing import Any, Literal

import ray

from distributed_hbt.coordinator.capacity import Share
from distributed_hbt.coordinator.evaluation_pool_actor import EvaluationActor, Home, Report
from distributed_hbt.coordinator.evaluation_pool_backlog import Task

Question = Literal["home", "outcome", "report"]
"""What an actor was asked: where it lives, how its job ended, how far it is."""

_BESIDE = "beside"
"""The actor's second thread, which answers while a job runs."""


class Seat:
    """Keeps at most one actor, which lives when it has said where its `home` is. Nothing here waits: answers
    come by `refs`."""

    def __init__(self, share: Share) -> None:
        """`share` says what an actor takes."""
        self._share = share
        self._actor: Any = None
        self._number = 0
        self._heard = 0.0
        self.home: Home | None = None
        self.task: Task | None = None
        self.report: Report | None = None
        self.refs: dict[Any, Question] = {}
        self.starts_failed = 0

    @property
    def takes(self) -> str:
        """What an actor takes, for people."""
        return " and ".join(f"{amount:g} {name}" for name, amount in self._share.bundle.items())

    @property
    def has_actor(self) -> bool:
        """Whether an actor lives here, or was asked for."""
        return self._actor is not None

    @property
    def is_idle(self) -> bool:
        return self.home is not None and self.task is None and not self._was_asked("home")

    @property
    def is_needed(self) -> bool:
        """Whether it has a job in hand that was not let go."""
        return self.task is not None and not self.task.abandoned

    @property
    def texts_in_hand(self) -> int:
        """Texts of the job in hand that are done, as last reported."""
        if self.task is None or self.task.abandoned or self.report is None:
            return 0
        return min(self.report.done, self.task.job.size)

    def open(self) -> None:
        """Ask for an actor where there is none, and for a sign of life where there is one."""
        if self._actor is None:
            self._actor = _actor_class(self._share).remote("cuda" if self._share.gpus else "cpu")
        if not self._was_asked("home"):
            self._ask("home", self._actor.home)
        self._heard = time.monotonic()

    def give(self, task: Task) -> None:
        """Let the actor do the job."""
        self.task = task
        self.report = None
        self._number += 1
        self._heard = time.monotonic()
        self.refs[self._actor.do.remote(self._number, task.job)] = "outcome"

    def poll(self) -> None:
        """Ask how far the job in hand is, unless that was asked and not answered yet."""
        if self.task is not None and not self._was_asked("report"):
            self._ask("report", self._actor.report)

    def at_home(self, home: Home) -> None:
        """The actor lives."""
        self.home = home
        self.starts_failed = 0
        self._heard = time.monotonic()

    def hear(self, report: Report) -> None:
        """Take in how far the job is; what is said of an earlier job is passed over."""
        if self.task is None or report.number != self._number or report == self.report:
            return
        if self.report is not None or report.done or report.place:
            self._heard = time.monotonic()
        self.report = report

    def silent_seconds(self) -> float:
        """How long a living actor has neither advanced nor answered; 0 where nothing is expected of it. One
        that has not lived yet may be waiting for its resources."""
        if self.home is None or self.is_idle:
            return 0.0
        return time.monotonic() - self._heard

    def free(self) -> Task:
        """The job in hand has ended."""
        assert self.task is not None
        task, self.task = self.task, None
        return task

    def let_go(self) -> None:
        """Nobody waits for the job in hand any longer. A request for an actor that was not met is withdrawn:
        it could take what the training waits for."""
        if self.task is not None:
            self.task.abandoned = True
        if self.home is None:
            self.lose()

    def lose(self) -> None:
        """End the actor, if it still lives, and give its resources back; forget the job in hand."""
        if self._actor is not None and ray.is_initialized():
            ray.kill(self._actor)
        self._actor = self.home = self.task = self.report = None
        self.refs.clear()

    def _was_asked(self, question: Question) -> bool:
        return question in self.refs.values()

    def _ask(self, question: Question, method: Any) -> None:
        self.refs[method.options(concurrency_group=_BESIDE).remote()] = question


def _actor_class(share: Share) -> Any:
    """Threads are as many as CPUs were asked for, however many actors share a machine: they decide the last
    bits of a matrix product. Torch and tokenizers read their number when they are imported."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
    variables = dict.fromkeys(names, f"{share.cpus:g}")
    variables["MKL_DYNAMIC"] = "FALSE"  # or threads are no more than a node has cores
    variables["TOKENIZERS_PARALLELISM"] = "true" if share.cpus > 1 else "false"
    return ray.remote(
        num_cpus=share.cpus,
        num_gpus=share.gpus,
        max_restarts=0,  # the pool itself starts the next one, and knows what the lost one had in hand
        scheduling_strategy="SPREAD",
        concurrency_groups={_BESIDE: 1},
        runtime_env={"env_vars": variables},
    )(EvaluationActor)
