"""The evaluation pool's progress as metrics of the run."""

import time
from collections.abc import Callable

from distributed_hbt.evaluation.jobs.job import Progress
from distributed_hbt.tracking.base import Tracker

EVERY_SECONDS = 10.0


class TrackedProgress:
    """A ProgressSink that logs `evaluation/<label>/passages_per_second`, `share_done` and `seconds_left`.

    At most every EVERY_SECONDS, and at the end of each list. The step is the time in seconds since this
    object was made, since evaluations of several checkpoints have no other step in common.
    """

    def __init__(
        self, tracker: Callable[[], Tracker], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`tracker` is called when there is something to log."""
        self._tracker = tracker
        self._clock = clock
        self._began = clock()
        self._label = ""
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        ended = progress.done == progress.total
        if progress.label != self._label:
            if ended:
                return  # nothing was to be done
            self._label = progress.label
        elif not ended and now - self._last < EVERY_SECONDS:
            return
        self._last = now
        numbers = {"passages_per_second": progress.texts_per_second, "share_done": progress.share}
        if progress.seconds_left is not None:
            numbers["seconds_left"] = progress.seconds_left
        named = {f"evaluation/{progress.label}/{name}": number for name, number in numbers.items()}
        self._tracker().log_metrics(named, step=int(now - self._began))
        if ended:
            self._label = ""
