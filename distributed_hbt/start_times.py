"""How long each part of a rank's start takes, from the start of its process to the end of its first step."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Lap = Callable[[str], None]
"""lap("store"): what was done since the lap before was that part."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


def not_timed(part: str) -> None:
    """For what is done outside of a start."""


class StartTimes:
    """Laps of one start: `seconds` of each part, and `cpu_seconds` of this process in it: the rest it waited.

    The first lap begins with the process: the interpreter's start, its imports and all that was done before
    this object was made. Where `is_own_process` is false, as under Ray, which keeps processes that wait for
    work, it begins now.
    """

    def __init__(self, *, is_own_process: bool = True) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._last, self._last_cpu = time.perf_counter(), time.process_time()
        if is_own_process:
            import psutil

            self._last -= time.time() - psutil.Process().create_time()
            self._last_cpu = 0.0

    def lap(self, part: str) -> None:
        """What was done since the lap before was `part`; a part may come several times."""
        now, now_cpu = time.perf_counter(), time.process_time()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._last
        self.cpu_seconds[part] = self.cpu_seconds.get(part, 0.0) + now_cpu - self._last_cpu
        self._last, self._last_cpu = now, now_cpu

    def until(self, part: str, taker: Callable[[T], None]) -> Callable[[T], None]:
        """`taker`; when it is first called, `part` is done, the last one, and the times are logged."""

        def take(given: T) -> None:
            if part not in self.seconds:
                self.lap(part)
                _log.info("%s", described(self.seconds))
                _log.debug("CPU: %s", described(self.cpu_seconds))
            taker(given)

        return take


def described(seconds: Mapping[str, float]) -> str:
    """As `first step after 9.6 s: process 1.13, libraries 2.04, ...`, in the order done."""
    *_, last = seconds
    parts = ", ".join(f"{part} {value:.2f}" for part, value in seconds.items())
    return f"{last} after {sum(seconds.values()):.1f} s: {parts}"
