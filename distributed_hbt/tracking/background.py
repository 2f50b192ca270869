"""A thread that sends what the spool holds to the store, while training goes on."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from distributed_hbt.errors import one_line
from distributed_hbt.tracking.deliver import (
    StoreRun,
    all_steps_in_store,
    batches,
    deliver,
    last_steps,
    size,
    steps_in_store,
    without_steps,
)
from distributed_hbt.tracking.spool import Entry, Spool, entries_of, held, spool_files, take_over

PAUSES = (0.5, 2.0, 8.0)
"""Seconds before each further attempt; the last of them before every attempt while the store is away."""

_LINES_AT_ONCE = 5000
_log = logging.getLogger(__name__)


class BackgroundSender:
    """Sends entries in the order they came, those that earlier processes have left before them, once it is
    started; never raises.

    While the store is away everything waits in the spool until it is back. What can not be written although
    it is there is left out after a few attempts: `refused` counts it, the log says why.
    """

    def __init__(
        self,
        run_dir: Path,
        spool: Spool,
        begin: Callable[[], StoreRun],
        is_away: Callable[[StoreRun], bool],
        *,
        run: StoreRun | None = None,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """`begin` reaches the store, and is called again and again until it does, unless `run` says that it
        was. `is_away` is asked after a failure, whether the store itself can not be reached for now."""
        self._run_dir = run_dir
        self._spool = spool
        self._begin = begin
        self._is_away = is_away
        self.run = run
        self._pauses = tuple(pauses)
        self._known: dict[str, int] = {}
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._stop = threading.Event()
        self.refused = 0
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Reach the store, and send from now on."""
        self._started.set()

    def wake(self) -> None:
        """There is something in the spool."""
        self._wake.set()

    def close(self, timeout: float) -> None:
        """Wait until everything is sent, but `timeout` seconds at most."""
        self._closing.set()
        self._started.set()
        self._wake.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            self._stop.set()  # ends the pauses; a call that hangs in the network ends with the process
            self._thread.join(1.0)

    def _work(self) -> None:
        self._started.wait()
        self._known = self._steps_left_over()  # before the store is asked: what is sent meanwhile is there
        if not self._attempt(self._open, None) or not self._send_left_over():
            return
        while True:
            ends = self._closing.is_set()
            self._wake.clear()
            while (read := self._spool.read())[0]:
                if not self._send([self._new(entry) for entry in read[0]]):
                    return
                self._spool.sent(read[1])
            if ends:
                self._send_left_over()  # of a rank that ended after this began
                return
            self._wake.wait()

    def _open(self) -> None:
        run = self.run or self._begin()
        found = steps_in_store(run)
        for name, step in found.items():
            self._known[name] = max(step, self._known.get(name, -1))
        self.run = run

    def _new(self, entry: Entry) -> Entry | None:
        return without_steps(entry, lambda name, step: step <= self._known.get(name, -1))

    def _steps_left_over(self) -> dict[str, int]:
        files = (path for path in self._other_files() if path.exists())
        return last_steps(entry for path in files for entry in entries_of(path) if entry is not None)

    def _other_files(self) -> list[Path]:
        return [path for path in spool_files(self._spool.path.parent) if path != self._spool.path]

    def _send_left_over(self) -> bool:
        """False where the end did not wait for it. One process at a time does this: two files may have the
        same steps."""
        with held(self._spool.path.parent / "sending.lock") as alone:
            return not alone or all(self._send_file(path) for path in self._other_files())

    def _send_file(self, path: Path) -> bool:
        """The status that a process has left is no longer the run's."""
        with take_over(path) as taken:
            if not taken:
                return True
            there: dict[str, set[int]] = {}
            count, lines = 0, entries_of(path)
            while found := list(itertools.islice(lines, _LINES_AT_ONCE)):
                if None in found:
                    _log.warning("tracking: %s: %d damaged lines left out", path, found.count(None))
                entries = [entry for entry in found if entry and "status" not in entry]
                if not self._attempt(partial(self._ask, last_steps(entries), there), None):
                    return False
                new = [without_steps(entry, lambda name, step: step in there[name]) for entry in entries]
                if not self._send(new):
                    return False
                count += len(entries)
            path.unlink(missing_ok=True)
            if count:
                _log.info("tracking: sent %d entries that an earlier start had left", count)
        return True

    def _ask(self, names: Iterable[str], there: dict[str, set[int]]) -> None:
        """Which steps the store has of these metrics, where that is not in `there` yet."""
        assert self.run is not None  # opened before anything is sent
        there.update(all_steps_in_store(self.run, [name for name in names if name not in there]))

    def _send(self, entries: Sequence[Entry | None]) -> bool:
        """False where not all is dealt with: the end did not wait for a store that is away."""
        for batch in batches([entry for entry in entries if entry is not None]):
            run = self.run
            assert run is not None  # opened before anything is sent
            if not self._attempt(partial(deliver, run, self._run_dir, batch), batch):
                return False
        return True

    def _attempt(self, job: Callable[[], None], batch: Sequence[Entry] | None) -> bool:
        """Try until it is done, or refused by a store that is there; False where the end did not wait.

        A `batch` of None can not be refused: it is the store itself that is asked for.
        """
        error = _try(job)
        failures, was_away = 0, False
        while error is not None:
            away = batch is None or self.run is None or self._is_away(self.run)
            if away and not was_away:
                _log.warning(
                    "tracking: MLflow can not be reached (%s); what is logged waits", one_line(error)
                )
            failures, was_away = failures + (not away), was_away or away
            if failures > len(self._pauses):
                break
            self._spool.sync()
            if self._stop.wait(self._pauses[failures - 1] if failures else self._pauses[-1]):
                return False
            error = _try(job)
        if error is not None and batch is not None:
            self.refused += size(batch)
            what = "tracking: %d entries could not be written (%s); the run goes on"
            _log.warning(what, size(batch), one_line(error))
        elif was_away:
            _log.info("tracking: MLflow is back")
        return True


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def _try(job: Callable[[], None]) -> Exception | None:
    try:
        job()
    # Whatever the store's client raises: a run is worth more than the record of it.
    except Exception as error:
        return error
    return None
