"""Jobs done one after the other in this process."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from distributed_hbt.errors import HbtError, WorkerFailed
from distributed_hbt.evaluation.jobs.job import Job, ProgressSink
from distributed_hbt.evaluation.jobs.progress import Meter
from distributed_hbt.evaluation.jobs.worker import Worker

_log = logging.getLogger(__name__)

_TELL_SECONDS = 1.0


class LocalExecutor:
    """The pool of one: this process."""

    def __init__(
        self,
        device: str | None = None,
        *,
        max_attempts: int = 3,
        sink: ProgressSink | None = None,
        threads: int | None = None,
    ) -> None:
        """`threads`, of matrix products on the CPU, decide the last bits of embeddings; None leaves them."""
        self._worker = _TellingWorker(device)
        self._max_attempts = max_attempts
        self._sink = sink
        self._threads = threads

    def run(self, jobs: Sequence[Job], label: str) -> None:
        """See `Executor`."""
        todo = [job for job in jobs if not job.output.exists()]
        done = sum(job.size for job in jobs) - sum(job.size for job in todo)
        meter = Meter(label, sum(job.size for job in jobs), done)
        self._tell(meter, done)
        if not todo:
            return
        with _torch_threads(self._threads):
            for job in todo:
                if not job.output.exists():
                    self._attempt(job, partial(self._tell, meter, done))
                done += job.size
                self._tell(meter, done)

    def _attempt(self, job: Job, tell: Callable[[int], None]) -> None:
        for attempt in range(1, self._max_attempts + 1):
            self._worker.tell = lambda of_job: tell(min(of_job, job.size))
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

    def _tell(self, meter: Meter, before: int, of_job: int = 0) -> None:
        if self._sink is not None:
            self._sink(meter.at(before + of_job))


class _TellingWorker(Worker):
    """Says about once a second how many texts of the job in hand are done."""

    def __init__(self, device: str | None) -> None:
        super().__init__(device)
        self.tell: Callable[[int], None] = lambda _: None
        self._told = time.monotonic()

    def advance(self, texts: int, place: str = "") -> None:
        super().advance(texts, place)
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            self.tell(self.done)


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    if threads is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
