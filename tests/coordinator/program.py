"""A program that runs while a test goes on."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SECONDS_UNTIL_HUNG = 300


@dataclass(frozen=True)
class Program:
    """A program that runs, and its stdout and stderr together."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        """Raises AssertionError if it ends before that, or that takes too long."""
        deadline = time.monotonic() + SECONDS_UNTIL_HUNG
        while not true():
            assert self.process.poll() is None, f"ended before {what}:\n{self.said()}"
            assert time.monotonic() < deadline, f"no sign of {what}:\n{self.said()}"
            time.sleep(0.02)

    def wait(self) -> int:
        """For its end; the exit status. Raises AssertionError if it hangs."""
        try:
            return self.process.wait(SECONDS_UNTIL_HUNG)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"hangs:\n{self.said()}") from None
