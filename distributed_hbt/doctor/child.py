"""Questions that may hang, or take this process with them, are asked in a process of their own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence


class NoAnswer(Exception):  # noqa: N818 (the name says what happened)
    """The process ended without an answer, or was ended after its time. The text says why."""


def start(
    module: str, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """`python -m module` with this environment, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **(environment or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answer(process: subprocess.Popen[str], seconds: float, given: str = "") -> str:
    """What the process writes to its stdout. Raises NoAnswer; the process has ended in any case."""
    try:
        written, complained = process.communicate(given, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"no answer within {seconds:g} s") from error
    finally:
        end(process)
    if process.returncode:
        raise NoAnswer(_last_line(complained) or f"ended with {process.returncode}")
    return written


def end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of the process and its session, which it leads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _last_line(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
