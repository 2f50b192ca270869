"""A thread that writes to the store while training goes on."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")

PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each further attempt; the last of them before every attempt while the store is away."""

_log = logging.getLogger(__name__)


class BackgroundWriter(Generic[T]):
    """Writes items in batches and runs other jobs, in the order they came; never blocks, never raises.

    While the store is away everything waits, in order, until it is back. What can not be written although it
    is there is dropped after a few attempts: `lost` counts it, the log says why.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], None],
        *,
        batch_size: int,
        pauses: Sequence[float] = PAUSES,
        is_away: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_away`: asked after a failure, whether the store itself can not be reached for now."""
        self._write = write
        self._batch_size = batch_size
        self._pauses = tuple(pauses)
        self._is_away = is_away
        self._queue: queue.SimpleQueue[list[T] | Callable[[], None] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._waiting = 0
        self._count = threading.Lock()
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def put(self, items: Sequence[T]) -> None:
        """Write these items, together with others that wait."""
        self._enqueue(list(items))

    def call(self, job: Callable[[], None]) -> None:
        """Run `job` after everything that waits already. A job may be run again after it raised."""
        self._enqueue(job)

    def close(self, timeout: float) -> int:
        """Wait until everything is written, but `timeout` seconds at most; how much was lost in all."""
        self._queue.put(None)
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._stop.set()  # ends the pauses; a call that hangs in the network ends with the process
            self._thread.join(1.0)
        with self._count:
            return self.lost + self._waiting

    def _enqueue(self, entry: list[T] | Callable[[], None]) -> None:
        with self._count:
            self._waiting += len(entry) if isinstance(entry, list) else 1
        self._queue.put(entry)

    def _run(self) -> None:
        ended = False
        while not ended:
            entries = [self._queue.get(), *self._all_that_waits()]
            items: list[T] = []
            for entry in entries:
                if isinstance(entry, list):
                    items += entry
                    continue
                self._write_all(items)
                items = []
                if entry is None:
                    ended = True
                else:
                    self._attempt(entry, 1)
            self._write_all(items)

    def _all_that_waits(self) -> Iterator[list[T] | Callable[[], None] | None]:
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return

    def _write_all(self, items: list[T]) -> None:
        for first in range(0, len(items), self._batch_size):
            batch = items[first : first + self._batch_size]
            self._attempt(partial(self._write, batch), len(batch))

    def _attempt(self, job: Callable[[], None], size: int) -> None:
        error = self._try(job)
        failures, was_away = 0, False
        while error is not None:
            away = self._is_away()
            if away and not was_away:
                _log.warning("tracking: MLflow can not be reached (%s); what is logged waits", _line(error))
            failures, was_away = failures + (not away), was_away or away
            if failures > len(self._pauses) or self._stop.wait(self._pause(failures)):
                break
            error = self._try(job)
        with self._count:
            self._waiting -= size
            self.lost += size if error else 0
        if error:
            _log.warning(
                "tracking: %d entries could not be written (%s); the run goes on", size, _line(error)
            )
        elif was_away:
            _log.info("tracking: MLflow is back")

    def _pause(self, failures: int) -> float:
        """Seconds; the last where nothing but an absent store has failed so far."""
        return self._pauses[failures - 1]

    def _try(self, job: Callable[[], None]) -> Exception | None:
        try:
            job()
        # Whatever the store's client raises: a run is worth more than the record of it.
        except Exception as error:
            return error
        return None


def _line(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first if len(first) <= 200 else f"{first[:197]}..."
