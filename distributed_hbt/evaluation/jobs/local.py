"""Jobs done one after the other in this process."""

import logging
import time
from collections.abc import Sequence

from distributed_hbt.errors import HbtError, WorkerFailed
from distributed_hbt.evaluation.jobs.job import Job, Progress, ProgressSink
from distributed_hbt.evaluation.jobs.worker import Worker

_log = logging.getLogger(__name__)


class LocalExecutor:
    """The pool of one: this process."""

    def __init__(
        self, device: str | None = None, *, max_attempts: int = 3, sink: ProgressSink | None = None
    ) -> None:
        self._worker = Worker(device)
        self._max_attempts = max_attempts
        self._sink = sink

    def run(self, jobs: Sequence[Job], label: str) -> None:
        """See `Executor`."""
        began = time.monotonic()
        total = sum(job.size for job in jobs)
        done = encoded = 0
        for job in jobs:
            if not job.output.exists():
                self._attempt(job)
                encoded += job.size
            done += job.size
            self._report(label, done, total, encoded / max(1e-9, time.monotonic() - began))

    def _attempt(self, job: Job) -> None:
        for attempt in range(1, self._max_attempts + 1):
            self._worker.begin()
            try:
                job.run(self._worker)
                return
            except HbtError:
                raise
            # What a job raises beside that comes from the machine: memory, disk, device.
            except Exception as error:
                where = self._worker.place or job.subject
                what = f"failed {attempt} times ({type(error).__name__}: {error})"
                if attempt == self._max_attempts:
                    raise WorkerFailed(
                        where, what, "see the error; start again to go on from here"
                    ) from error
                _log.warning("%s: %s; tried again", where, what)

    def _report(self, label: str, done: int, total: int, rate: float) -> None:
        if self._sink is not None:
            left = (total - done) / rate if rate else None
            self._sink(Progress(label, done, total, rate, left))
