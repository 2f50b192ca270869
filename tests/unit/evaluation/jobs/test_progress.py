"""Progress as it is counted and shown."""

import io
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from distributed_hbt.evaluation.jobs.job import Progress
from distributed_hbt.evaluation.jobs.progress import LoggedProgress, Meter, duration, shown_progress

ROOT = Path(__file__).resolve().parents[4]
ON_A_TERMINAL = """
import logging, sys
from distributed_hbt.evaluation.jobs.job import Progress
from distributed_hbt.evaluation.jobs.progress import shown_progress
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
with shown_progress() as sink:
    sink(Progress("kept", 5, 5, 0.0, 0.0))
    sink(Progress("miracl", 0, 1000, 0.0, None))
    sink(Progress("miracl", 250, 1000, 5.0, 150.0))
    logging.getLogger().info("a line of the log")
    sink(Progress("miracl", 1000, 1000, 5.0, 0.0))
logging.getLogger().info("after it")
"""


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_rate_is_that_of_the_last_while() -> None:
    """A rate over the whole time hides that a run has become slow; what was done before is no speed."""
    clock = Clock()
    meter = Meter("x", 10_000, 5_000, clock=clock)
    for second in range(1, 61):
        clock.now = 100.0 + second
        progress = meter.at(5_000 + 10 * second)
    assert progress.texts_per_second == pytest.approx(10)
    assert progress.seconds_left == pytest.approx((5_000 - 600) / 10)
    for second in range(61, 121):
        clock.now = 100.0 + second
        progress = meter.at(5_600 + (second - 60))
    assert progress.texts_per_second == pytest.approx(1)
    assert progress.share == pytest.approx(0.566)


def test_progress_does_not_go_back_when_an_attempt_is_lost() -> None:
    """A bar that jumps back, and a negative rate."""
    clock = Clock()
    meter = Meter("x", 100, 0, clock=clock)
    clock.now += 1
    meter.at(50)
    clock.now += 1
    progress = meter.at(30)
    assert progress.done == 50
    assert progress.texts_per_second >= 0


def test_nothing_to_do_is_all_done_at_once() -> None:
    """A division by the time that has not passed, or by no texts."""
    progress = Meter("x", 0, 0, clock=Clock()).at(0)
    assert progress == Progress("x", 0, 0, 0.0, 0.0)
    assert progress.share == 1.0
    assert Meter("x", 5, 0, clock=Clock()).at(0).seconds_left is None


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """A line a second fills the log of a cluster job; none at all looks as if it hung."""
    clock = Clock()
    sink = LoggedProgress(clock=clock)
    with caplog.at_level(logging.INFO):
        sink(Progress("kept", 7, 7, 0.0, 0.0))
        for second in range(31):
            clock.now = 100.0 + second
            sink(Progress("miracl", 100 * second, 1_200_000, 100.0, 11_970.0))
        clock.now += 3600
        sink(Progress("miracl", 1_200_000, 1_200_000, 100.0, 0.0))
        sink(Progress("miracl", 1_200_000, 1_200_000, 0.0, 0.0))  # the same list again: all is there
    assert caplog.messages == [
        *["miracl: 0% of 1,200,000 texts, 100 a second, 3 h 20 min left"] * 3,
        "miracl: 1,200,000 texts, done in 60 min",
    ]


def test_no_terminal_gets_no_bars(caplog: pytest.LogCaptureFixture) -> None:
    """Control characters in the log file of a batch job."""
    stream = io.StringIO()
    with caplog.at_level(logging.INFO), shown_progress(stream) as sink:
        sink(Progress("miracl", 0, 10, 0.0, None))
        sink(Progress("miracl", 10, 10, 5.0, 0.0))
    assert stream.getvalue() == ""
    assert caplog.messages == ["miracl: 10 texts, done in 0 s"]


def test_a_terminal_gets_bars_and_whole_lines_of_the_log() -> None:
    """Log lines that are written into the bars, and a cursor that stays hidden."""
    terminal, stderr = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ON_A_TERMINAL]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, env=environment)
    os.close(stderr)
    shown = _all_of(terminal)
    assert process.wait() == 0
    assert "miracl" in shown
    assert "kept" not in shown
    assert "25%" in shown
    assert "5 a second, 2 min left" in shown
    assert "100%" in shown
    assert "\x1b[2Ka line of the log\r\n" in shown  # on a line that was cleared
    assert shown.endswith("after it\r\n")
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (99, "99 s"), (150, "2 min"), (5_940, "99 min"), (7_500, "2 h 05 min")],
)
def test_times_are_as_people_say_them(seconds: float, text: str) -> None:
    """`9000 s left`."""
    assert duration(seconds) == text


def _all_of(terminal: int) -> str:
    parts = []
    while True:
        try:
            parts.append(os.read(terminal, 65_536))
        except OSError:  # nobody has the other end any longer
            os.close(terminal)
            return b"".join(parts).decode()
