"""Signals that are granted after the step in hand. Each case is a process of its own."""

import signal
import subprocess
import sys

PROGRAM = """
import os, signal, sys, time
from distributed_hbt.stop_signals import StopSignals

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell starts with &

def send(number):
    os.kill(os.getpid(), number)
    time.sleep(0)  # the handler runs

{body}
"""


def run(body: str) -> subprocess.CompletedProcess[str]:
    code = PROGRAM.format(body=body)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


def test_signals_within_the_block_are_only_told() -> None:
    """Catches a step that is broken off."""
    for name in ("SIGTERM", "SIGINT"):
        done = run(f"""
with StopSignals() as asked:
    print(asked())
    send(signal.{name})
    print(asked())
""")
        assert (done.returncode, done.stdout) == (0, "False\nTrue\n"), done.stderr


def test_after_the_block_signals_are_what_they_were() -> None:
    """Catches an evaluation that Ctrl-C does not end."""
    done = run("""
signals = StopSignals()
with signals:
    pass
try:
    send(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted", signals.asked(), flush=True)
send(signal.SIGTERM)
""")
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "interrupted False\n")


def test_ctrl_c_that_a_launcher_passes_on_is_the_same_one_and_a_later_one_ends_at_once() -> None:
    """Catches torchrun's copy of the terminal's signal that ends the run before its checkpoint, and a user
    who can not get out."""
    done = run("""
import distributed_hbt.stop_signals as stop_signals
now = 100.0
stop_signals.time.monotonic = lambda: now
with StopSignals() as asked:
    send(signal.SIGINT)
    now += 0.5
    send(signal.SIGINT)
    send(signal.SIGTERM)
    now += 5
    send(signal.SIGTERM)
    print("still here", flush=True)
    try:
        send(signal.SIGINT)
    except KeyboardInterrupt:
        print("out")
""")
    assert (done.returncode, done.stdout) == (0, "still here\nout\n"), done.stderr


def test_process_that_hangs_is_killed_after_the_grace_period() -> None:
    """Catches a rank that waits in a collective operation for ever."""
    done = run("""
with StopSignals(grace_seconds=0.2):
    send(signal.SIGTERM)
    while True:
        time.sleep(1)
""")
    assert done.returncode == -signal.SIGKILL


def test_process_that_ends_in_time_is_not_killed() -> None:
    """Catches a killer that strikes while the evaluation has begun."""
    done = run("""
with StopSignals(grace_seconds=0.2):
    send(signal.SIGTERM)
time.sleep(1)
print("alive")
""")
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
