"""Processes that are asked a question."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from distributed_hbt.doctor.child import NoAnswer, answer, start

_WITH_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, file=sys.stderr, flush=True)
sys.stdin.read()
import time; time.sleep(600)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """module(text): the name of a module with this text, for `python -m`."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))

    def write(text: str) -> str:
        (tmp_path / "asked.py").write_text(text, encoding="utf-8")
        return "asked"

    return write


def is_gone(process: psutil.Process) -> bool:
    """Looked at until the signal has arrived, a hundred times at most."""
    for _ in range(100):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.05)
                continue
        return True
    return False


def test_an_answer_is_what_was_written(module) -> None:  # type: ignore[no-untyped-def]
    """A question that is not handed on."""
    process = start(module("print(input()[::-1])"))
    assert answer(process, 60.0, "abc\n") == "cba\n"


def test_a_process_that_fails_says_why(module) -> None:  # type: ignore[no-untyped-def]
    """An empty line where the reason stands in its last words."""
    process = start(module("raise ValueError('too\\nlong')"))
    with pytest.raises(NoAnswer, match=r"^long$"):
        answer(process, 60.0)
    process = start(module("import sys; sys.exit(3)"))
    with pytest.raises(NoAnswer, match="ended with 3"):
        answer(process, 60.0)


def test_a_process_that_hangs_is_ended_with_its_children(module) -> None:  # type: ignore[no-untyped-def]
    """A Ray head, started by the question, that goes on after the doctor has left."""
    process = start(module(_WITH_CHILD))
    assert process.stderr is not None
    child = psutil.Process(int(process.stderr.readline()))
    try:
        with pytest.raises(NoAnswer, match=r"no answer within 0\.1 s"):
            answer(process, 0.1)
        assert process.poll() == -signal.SIGKILL
        assert is_gone(child)
    finally:
        for one in (child.pid, process.pid):
            if psutil.pid_exists(one):
                os.kill(one, signal.SIGKILL)
