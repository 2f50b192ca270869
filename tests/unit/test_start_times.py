"""How long a rank's start takes, part by part."""

import logging
import subprocess
import sys
import time

import psutil
import pytest

from distributed_hbt.start_times import StartTimes, described


def age() -> float:
    """Seconds since this process began, which has imported a lot by now."""
    return time.time() - psutil.Process().create_time()


def test_laps_cover_the_time_since_the_process_began() -> None:
    """A start that seems short, since what was done before the first lap is nobody's."""
    times = StartTimes()
    time.sleep(0.02)
    times.lap("imports")
    time.sleep(0.03)
    times.lap("store")
    least = age()
    times.lap("imports")
    assert list(times.seconds) == ["imports", "store"]
    assert least - 0.05 < sum(times.seconds.values()) < age() + 0.05
    assert times.seconds["store"] >= 0.03
    assert times.cpu_seconds["store"] < times.seconds["store"]


def test_a_process_that_waited_for_work_has_not_started_yet() -> None:
    """Under Ray a process may be minutes old before it becomes a rank."""
    times = StartTimes(is_own_process=False)
    times.lap("libraries")
    assert times.seconds["libraries"] < age() / 2
    assert times.cpu_seconds["libraries"] < time.process_time() / 2


def test_times_are_logged_once_when_the_first_step_is_done(caplog: pytest.LogCaptureFixture) -> None:
    """A line for every step; records that are kept back, or given twice."""
    caplog.set_level(logging.INFO, "distributed_hbt")
    taken: list[int] = []
    take = StartTimes().until("first step", taken.append)
    assert caplog.messages == []
    for step in (1, 2, 3):
        take(step)
    assert taken == [1, 2, 3]
    (line,) = caplog.messages
    assert line.startswith("first step after ")


def test_parts_are_described_in_the_order_done() -> None:
    """The longest first, or by name: nobody sees what waited for what."""
    parts = {"process": 1.131, "libraries": 2.0, "first step": 0.5}
    assert described(parts) == "first step after 3.6 s: process 1.13, libraries 2.00, first step 0.50"


def test_deepspeed_comes_without_torch_s_compiler_and_mlflow() -> None:
    """Seconds of every rank's start for an optimizer and a tuner that no run uses; a switch that stays on and
    turns train.compile off; an MLflow that can not be imported any more."""
    code = """
import os, sys
from distributed_hbt.train.deepspeed_import import import_deepspeed
import_deepspeed()
assert "deepspeed.runtime.zero.muon.muon_optimizer" in sys.modules
assert not {"functorch.compile", "mlflow", "pandas"} & {*sys.modules}
assert "TORCHDYNAMO_DISABLE" not in os.environ
import mlflow
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
