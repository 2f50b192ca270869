"""How far a list of jobs is: counted, and shown on a terminal or in the log."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from distributed_hbt.evaluation.jobs.job import Progress, ProgressSink

if TYPE_CHECKING:
    from rich.progress import TaskID

_log = logging.getLogger(__name__)

Clock = Callable[[], float]

RATE_SECONDS = 30.0
"""The while that a rate is taken over."""
LOG_SECONDS = 10.0
"""Between two lines of the log."""


class Meter:
    """Makes a Progress of counts. What it shows never goes back, also where an attempt is lost."""

    def __init__(self, label: str, total: int, already: int, *, clock: Clock = time.monotonic) -> None:
        """`already` of `total` texts were done before; the rate does not count them."""
        self._label = label
        self._total = total
        self._clock = clock
        self._seen = deque([(clock(), already)])

    def at(self, done: int) -> Progress:
        """The progress when `done` of all texts are done, now."""
        now = self._clock()
        done = max(done, self._seen[-1][1])
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - RATE_SECONDS:
            self._seen.popleft()
        first_time, first_done = self._seen[0]
        rate = (done - first_done) / (now - first_time) if now > first_time else 0.0
        left = self._total - done
        return Progress(self._label, done, self._total, rate, left / rate if rate else None if left else 0.0)


def to_all(*sinks: ProgressSink) -> ProgressSink:
    """Tells every sink."""

    def tell(progress: Progress) -> None:
        for sink in sinks:
            sink(progress)

    return tell


@contextmanager
def shown_progress(stream: TextIO | None = None) -> Iterator[ProgressSink]:
    """A sink for people: bars where `stream` (default: stderr) is a terminal, else a line in the log now and
    then and one at the end. Lists of jobs that encode nothing are not shown."""
    stream = stream or sys.stderr
    if stream.isatty():
        with _bars(stream) as sink:
            yield sink
    else:
        yield LoggedProgress()


class LoggedProgress:
    """Lines in the log, at most one every LOG_SECONDS, and one at the end of each list."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._label = ""
        self._began = self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        if progress.label != self._label:
            self._label, self._began, self._last = progress.label, now, now
            if progress.done == progress.total:
                return  # nothing was to be done
        elif progress.done == progress.total:
            seconds = now - self._began
            _log.info("%s: %s texts, done in %s", progress.label, f"{progress.total:,}", duration(seconds))
            self._label = ""
        elif now - self._last >= LOG_SECONDS:
            self._last = now
            share = f"{100 * progress.share:.0f}% of {progress.total:,} texts"
            _log.info("%s: %s, %s", progress.label, share, _pace(progress))


@contextmanager
def _bars(stream: TextIO) -> Iterator[ProgressSink]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    bars = Bars(*columns, console=Console(file=stream), auto_refresh=False)
    tasks: dict[str, TaskID] = {}

    def show(progress: Progress) -> None:
        if progress.label not in tasks:
            if progress.done == progress.total:
                return
            tasks[progress.label] = bars.add_task(progress.label, total=progress.total, pace="")
        task = tasks[progress.label]
        bars.update(task, completed=progress.done, pace=_pace(progress), refresh=True)
        if progress.done == progress.total:
            del tasks[progress.label]

    with bars, _log_above_bars():
        yield show


@contextmanager
def _log_above_bars() -> Iterator[None]:
    """Handlers that write to the terminal go through the stream that rich has put in its place, or their
    lines would end up within the bars."""
    terminal: tuple[Any, ...] = (sys.__stderr__, sys.__stdout__)
    moved = [
        (handler, handler.stream)
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in terminal
    ]
    for handler, _ in moved:
        handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler, stream in moved:
            handler.setStream(stream)


def _pace(progress: Progress) -> str:
    if not progress.texts_per_second:
        return "begun"
    pace = f"{progress.texts_per_second:,.0f} a second"
    left = progress.seconds_left
    return f"{pace}, {duration(left)} left" if left else pace


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
