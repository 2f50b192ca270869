"""SIGTERM and Ctrl-C as a wish that is granted when a step is done."""

import os
import signal
import threading
import time
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Protocol


class StopAsked(Protocol):
    """Whether this process was asked to stop. `at_checkpoint`: after the step in hand a checkpoint is written
    anyway, which some wishes wait for."""

    def __call__(self, *, at_checkpoint: bool = False) -> bool: ...


Stopping = AbstractContextManager[StopAsked]
"""In force while steps are done: before, a process ends at once, since there is nothing to save."""

_SAME_PRESS_SECONDS = 1.0
"""A launcher passes on the Ctrl-C that the terminal has sent to all processes already."""


class StopSignals(AbstractContextManager[StopAsked]):
    """Within the block SIGTERM and SIGINT end nothing; `asked` says that one has come.

    A second Ctrl-C raises KeyboardInterrupt. A process that is still in the block `grace_seconds` after the
    signal is killed: it hangs where no exception reaches it. For the main thread.
    """

    def __init__(self, grace_seconds: float | None = None) -> None:
        self._grace_seconds = grace_seconds
        self._asked_at: float | None = None
        self._killer: threading.Timer | None = None
        self._before: dict[int, Any] = {}

    def asked(self, *, at_checkpoint: bool = False) -> bool:
        """Whether one of the signals has come; also after the block."""
        return self._asked_at is not None

    def raise_if_asked(self) -> None:
        """Raises KeyboardInterrupt where one of the signals has come."""
        if self.asked():
            raise KeyboardInterrupt

    def __enter__(self) -> StopAsked:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._take)
        return self.asked

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._killer is not None:
            self._killer.cancel()

    def _take(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
            self._kill_later()
        elif number == signal.SIGINT and now - self._asked_at > _SAME_PRESS_SECONDS:
            raise KeyboardInterrupt

    def _kill_later(self) -> None:
        if self._grace_seconds is not None:
            self._killer = threading.Timer(self._grace_seconds, os.kill, (os.getpid(), signal.SIGKILL))
            self._killer.daemon = True
            self._killer.start()
