"""A thread beside each rank's training that notices when no step goes on, and ends the run by a line that
says who holds it up."""

import faulthandler
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.guards.heartbeat import Heartbeat, find_stall, read_all
from distributed_hbt.train.guards.stall import Stall
from distributed_hbt.train.phases import Phases

_TICKS_OF_LIMIT = 10
_LONGEST_TICK = 60.0
_PATIENCE = 3  # ticks in which every living rank writes at least once
_COLLECTIVES = (str(Path("torch/distributed")), str(Path("deepspeed/comm")))
_DEEP = 8  # frames of the training thread that are looked at
_log = logging.getLogger(__name__)


class Watchdog(AbstractContextManager[None]):
    """In force within the block, for the thread that enters it. `limit`: seconds; None: no watch.

    The clock begins anew with each part of a step that begins or ends, while rows are read in "data"
    (`rows_read` grows) and while checkpoints grow in "checkpoint". Whoever is late writes its stacks to a
    file; all look who is behind, by the files in `watch/`, which need no rank and no network. Then the first
    rank that lives writes `watch/stall.json` and the line, and every process ends with 1 after `give_up`. A
    thread can not raise it: the training thread waits in a collective that no exception reaches.
    """

    def __init__(
        self,
        ranks: Ranks,
        directory: RunDirectory,
        limit: float | None,
        rows_read: Callable[[], int],
        give_up: Callable[[], None] | None = None,
    ) -> None:
        self._ranks = ranks
        self._directory = directory
        self._limit = limit
        self._rows_read = rows_read
        self._give_up = give_up
        self._tick = 0.0 if limit is None else min(limit / _TICKS_OF_LIMIT, _LONGEST_TICK)
        self._thread = threading.Thread(target=self._watch, name="step-watchdog", daemon=True)
        self._stopped, self._ending = threading.Event(), threading.Event()
        self._trained_by: int | None = None
        self._place = (0, 0, "start")  # step, beats of it, phase
        self._beat_at = time.monotonic()
        self._sign: int | None = None  # of a phase that goes on
        self._ticks = 0

    def step(self, number: int) -> None:
        """A step begins, counted from 1."""
        self._beat(number, 0, "data")

    def phases(self, inner: Phases) -> Phases:
        """`inner`, with what begins and ends noticed here."""

        @contextmanager
        def watched(name: str) -> Iterator[None]:
            step, beats, _ = self._place
            self._beat(step, beats + 1, name)
            with inner(name):
                yield
            self._beat(step, beats + 2, f"after {name}")

        return inner if self._limit is None else watched

    def __enter__(self) -> None:
        if self._limit is None:
            return
        self._directory.watch.mkdir(parents=True, exist_ok=True)
        if self._ranks.is_first:
            Stall.forget(self._directory)
        self._trained_by = threading.get_ident()
        self._beat(*self._place)
        self._publish()
        self._thread.start()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._limit is None:
            return
        if error is not None and not self._ending.is_set() and Stall.of(self._directory) is not None:
            self._leave()  # a connection was lost since the run is being ended: that is no news
        if not self._ending.is_set():
            self._stopped.set()
        self._thread.join()

    def _beat(self, step: int, beats: int, phase: str) -> None:
        self._place = (step, beats, phase)
        self._beat_at = time.monotonic()

    def _watch(self) -> None:
        assert self._limit is not None
        while not self._stopped.wait(self._tick):
            self._publish()
            if time.monotonic() - self._beat_at >= self._limit:
                self._look_around(self._limit)

    def _look_around(self, limit: float) -> None:
        """This rank is late. End the run if one holds it up that is, and not one that only takes long."""
        stacks, place = self._directory.stacks, self._place
        self._write_stacks(stacks)
        before = read_all(self._directory.watch, self._ranks.world_size)
        for _ in range(_PATIENCE):
            if self._stopped.wait(self._tick):
                return
            self._publish()
        after = read_all(self._directory.watch, self._ranks.world_size)
        found = find_stall(before, after, limit, stacks)
        if found is not None and self._place == place:
            self._end_run(*found)

    def _end_run(self, stall: Stall, silent: list[int]) -> NoReturn:
        self._ending.set()
        first_living = next(rank for rank in range(self._ranks.world_size) if rank not in silent)
        if self._ranks.rank == first_living:
            stall.write(self._directory)
            print(f"hbt: error: {stall.error()}", file=sys.stderr, flush=True)
        else:
            for _ in range(_PATIENCE * 2):
                if Stall.of(self._directory) is not None:
                    break
                time.sleep(self._tick)
        self._leave()

    def _leave(self) -> NoReturn:
        try:
            if self._give_up is not None:
                self._give_up()
        # The process ends whatever comes of it.
        except Exception:
            _log.exception("the end of the run is not recorded")
        os._exit(1)

    def _publish(self) -> None:
        step, beats, phase = self._place
        if self._goes_on(phase):
            self._beat_at = time.monotonic()
        self._ticks += 1
        place, waits = self._where()
        idle = time.monotonic() - self._beat_at
        node = socket.gethostname()
        beat = Heartbeat(self._ranks.rank, node, self._ticks, step, beats, phase, idle, place, waits)
        beat.write(self._directory.watch)

    def _goes_on(self, phase: str) -> bool:
        """Whether there is a sign of progress within a part of a step that may take as long as it takes."""
        before, self._sign = self._sign, None
        if phase == "data":
            self._sign = self._rows_read()
        elif phase == "checkpoint":
            self._sign = _bytes_below(self._directory.checkpoints)
        return None not in (before, self._sign) and before != self._sign

    def _where(self) -> tuple[str, bool]:
        """Where the training thread is, and whether that is within a collective."""
        frame = sys._current_frames().get(self._trained_by or 0)
        if frame is None:
            return "its end", False
        path, line = Path(frame.f_code.co_filename), frame.f_lineno
        place = f"{path.parent.name}/{path.name}:{line} in {frame.f_code.co_name}"
        files: list[str] = []
        outer = frame
        while outer is not None and len(files) < _DEEP:
            files.append(outer.f_code.co_filename)
            outer = outer.f_back  # type: ignore[assignment]
        return place, any(part in file for file in files for part in _COLLECTIVES)

    def _write_stacks(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"rank-{self._ranks.rank:05d}.txt"
        step, _, phase = self._place
        with path.open("w", encoding="utf-8") as file:
            print(f"rank {self._ranks.rank} on {socket.gethostname()}, step {step} ({phase})", file=file)
            for thread in threading.enumerate():
                mark = ", which trains" if thread.ident == self._trained_by else ""
                print(f"thread 0x{thread.ident or 0:016x}: {thread.name}{mark}", file=file)
            file.flush()
            faulthandler.dump_traceback(file, all_threads=True)
        _log.info("step %d does not go on (%s); stacks of this rank are in %s", step, phase, path)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # renamed or removed meanwhile
            total += path.stat().st_size
    return total
