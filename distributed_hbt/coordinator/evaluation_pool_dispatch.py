"""Handing jobs to the actors of the evaluation pool until all are done, whoever is lost on the way."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from distributed_hbt.coordinator.evaluation_pool_actor import Failure
from distributed_hbt.coordinator.evaluation_pool_backlog import Backlog, Patience
from distributed_hbt.coordinator.evaluation_pool_seat import Seat
from distributed_hbt.errors import HbtError, WorkerFailed, one_line

_log = logging.getLogger(__name__)

_SAY_AFTER_SECONDS = 10.0


class Dispatch:
    """One list of jobs. `seats` may hold actors that live, and jobs that were let go by an earlier list."""

    def __init__(
        self,
        backlog: Backlog,
        seats: Sequence[Seat],
        patience: Patience,
        tell: Callable[[int], None],
        gives_way: Callable[[], bool],
        stop: threading.Event,
    ) -> None:
        """`tell` is called every tick with the number of texts done, which falls when an actor is lost.
        While it `gives_way` there are no actors. `stop` ends it all."""
        self._backlog = backlog
        self._seats = seats
        self._patience = patience
        self._tell = tell
        self._gives_way = gives_way
        self._stop = stop
        self._last_lived = self._last_tick = time.monotonic()
        self._said = False
        self._last_loss = ""

    def run(self) -> None:
        """Returns when all outputs are there. Raises HbtError: a job's own, or WorkerFailed.

        Then the jobs that other actors have in hand are let go: they end by themselves, and the actors can
        be given others.
        """
        try:
            for seat in self._seats:
                seat.starts_failed = 0
            self._open()
            while not self._backlog.is_empty or any(seat.is_needed for seat in self._seats):
                self._check_goes_on()
                if self._gives_way():
                    self._rest()
                self._hand_out()
                self._await_answers()
                self._tick()
        finally:
            for seat in self._seats:
                seat.let_go()

    def _open(self) -> None:
        for seat in self._seats:
            seat.open()
        self._last_lived = time.monotonic()

    def _rest(self) -> None:
        """Give all actors up until they may be had again."""
        _log.info("the evaluation gives way to the ranks")
        for seat in self._seats:
            if seat.task is not None and not seat.task.abandoned:
                self._backlog.take_back(seat.task)
            seat.lose()
        while self._gives_way():
            self._check_goes_on()
            time.sleep(self._patience.tick)
        self._open()

    def _check_goes_on(self) -> None:
        # Without a connection Ray would start a cluster of its own at the next call.
        if self._stop.is_set() or not ray.is_initialized():
            what = "the evaluation was stopped before its end"
            raise WorkerFailed("evaluation", what, "what is done is kept; start again to go on")

    def _hand_out(self) -> None:
        node_ids = {seat.home.node_id for seat in self._seats if seat.home is not None}
        for seat in self._seats:
            while seat.is_idle and seat.home is not None:
                task = self._backlog.next_for(seat.home, node_ids)
                if task is None:
                    break
                if task.job.output.exists():  # made by a job that was let go, or twice in the list
                    self._backlog.ended(task, seat.home)
                else:
                    seat.give(task)

    def _await_answers(self) -> None:
        """Takes in what is answered until the next tick is due."""
        left = max(0.0, self._last_tick + self._patience.tick - time.monotonic())
        refs = {ref: seat for seat in self._seats for ref in seat.refs}
        if not refs:
            time.sleep(left)
            return
        ready, _ = ray.wait(list(refs), num_returns=1, timeout=left)
        for ref in ready:
            self._take(refs[ref], ref)

    def _take(self, seat: Seat, ref: Any) -> None:
        asked = seat.refs.pop(ref)
        try:
            answer = ray.get(ref)
        except RayTaskError as error:  # the job could not be read there, or its outcome here
            answer = Failure(one_line(error.cause), "")
        except RayError as error:
            # A report that does not come says little: the outcome, or the stall, will say it.
            if asked != "report":
                self._lost(seat, _cause_of_death(error))
            return
        if asked == "outcome":
            self._ended(seat, answer)
        elif isinstance(answer, Failure):
            self._lost(seat, answer.what)
        elif asked == "home":
            self._last_lived = time.monotonic()
            seat.at_home(answer)
        else:
            seat.hear(answer)

    def _ended(self, seat: Seat, outcome: HbtError | Failure | None) -> None:
        assert seat.home is not None
        home, task = seat.home, seat.free()
        if isinstance(outcome, Failure):
            # The next attempts get another process: this one may have lost its device or its memory.
            seat.lose()
            seat.open()
        if task.abandoned:
            return
        if isinstance(outcome, HbtError):
            raise outcome
        if isinstance(outcome, Failure):
            self._backlog.failed(task, home, outcome.what, outcome.place, rest=True)
        else:
            self._backlog.ended(task, home)

    def _lost(self, seat: Seat, why: str) -> None:
        """The actor is gone. The next one is asked for; its job goes back to the others."""
        home, task = seat.home, seat.task
        place = seat.report.place if seat.report is not None else ""
        seat.lose()
        if home is None:
            self._not_started(seat, why)
        else:
            seat.open()
            self._last_loss = f"; the last one was on {home.name} ({why})"
            if task is None:
                _log.warning("an idle evaluation actor on %s is gone (%s)", home.name, why)
            elif not task.abandoned:
                self._backlog.failed(task, home, why, place)

    def _not_started(self, seat: Seat, why: str) -> None:
        seat.starts_failed += 1
        _log.warning("an evaluation actor could not be started (%s)", why)
        if seat.starts_failed < self._patience.attempts:
            seat.open()
        elif not any(one.has_actor for one in self._seats):
            what = f"no evaluation actor could be started ({why})"
            raise WorkerFailed("cluster", what, "see the error; all nodes need the same installation")

    def _tick(self) -> None:
        now = time.monotonic()
        if now < self._last_tick + self._patience.tick:
            return
        self._last_tick = now
        self._backlog.look_for_outputs()
        for seat in self._seats:
            seat.poll()
            if seat.silent_seconds() > self._patience.stall:
                stall = f"{self._patience.stall:g} s (cluster.evaluation_stall_seconds)"
                self._lost(seat, f"did not advance for {stall} and was ended")
        self._check_some_live(now)
        self._tell(self._backlog.texts_done + sum(seat.texts_in_hand for seat in self._seats))

    def _check_some_live(self, now: float) -> None:
        if any(seat.home is not None for seat in self._seats):
            self._last_lived = now
            return
        seconds = now - self._last_lived
        if seconds > self._patience.start:
            what = f"no evaluation actor could be had in {self._patience.start:g} s: {self._wanted()}"
            raise WorkerFailed("cluster", what, "free some, ask for less, or raise cluster.wait_seconds")
        if seconds > min(_SAY_AFTER_SECONDS, self._patience.start / 2) and not self._said:
            self._said = True
            _log.info("waiting for evaluation actors: %s", self._wanted())

    def _wanted(self) -> str:
        there, free = ray.cluster_resources(), ray.available_resources()
        has = [f"{there.get(name, 0):g} {name}s ({free.get(name, 0):g} free)" for name in ("CPU", "GPU")]
        takes = self._seats[0].takes
        return f"each needs {takes}, the cluster has {' and '.join(has)}{self._last_loss}"


def _cause_of_death(error: RayError) -> str:
    """What Ray knows of it, without the ids and the advice around it."""
    if getattr(error, "actor_init_failed", False):
        return str(error).splitlines()[-1]  # of a traceback
    text = " ".join(str(error).split())
    _, found, cause = text.rpartition("The actor is dead because ")
    return (cause if found else text).partition(" Some common causes")[0][:300]
