"""One case: a file is damaged, a command of `hbt` reads it, and what comes of that is judged."""

import contextlib
import faulthandler
import io
import logging
import random
import re
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from distributed_hbt.cli import main
from tests.fuzz.damage import damaged

SECONDS_UNTIL_HUNG = 600
"""For a case that takes well under a second, on a machine that does much else."""
_ERROR = re.compile(r"^hbt: error: \S.*; \S.*$")
_NEVER = ("Traceback (most recent call last)", "unexpected:", "Segmentation fault")


class Hung(BaseException):
    """Passes through whatever catches `Exception`."""


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Target:
    """Files that a command reads.

    `arguments` makes its command line, given a path that is not there; `is_whole` says whether what stands at
    that path afterwards would be taken for the result. `tidy` undoes what else a case leaves.
    """

    kind: str
    files: tuple[Path, ...]
    arguments: Callable[[Path], Sequence[str]]
    is_whole: Callable[[Path], bool] = Path.exists
    tidy: Callable[[], None] = lambda: None


@dataclass
class Tally:
    """Counts by kind and outcome, and what was found, which is also written to `log` at once."""

    log: Path
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def fuzz(target: Target, seeds: Sequence[int], scratch: Path, tally: Tally, *, again_every: int = 10) -> None:
    """Run the cases `seeds` of a target. Undamaged, it must work: before, and where a case has failed (all
    that left something behind, and one in `again_every` others), at the place of the failure."""
    undamaged = run(target.arguments(scratch / "undamaged"))
    target.tidy()
    assert undamaged.code == 0, undamaged.err
    for seed in seeds:
        _case(target, seed, scratch, tally, seed % again_every == 0)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()


def _case(target: Target, seed: int, scratch: Path, tally: Tally, again: bool) -> None:
    rng = random.Random(f"{target.kind}:{seed}")
    file = rng.choice(target.files)
    before = file.read_bytes()
    after = damaged(before, rng)
    name = f"{target.kind} {seed} ({file.name})"
    out = scratch / "out"
    try:
        file.write_bytes(after)
        outcome = run(target.arguments(out))
        found = list(faults_of(outcome))
        if outcome.code and target.is_whole(out):
            found.append("has failed, and left what looks like a result")
        left = out.exists()
    except Hung as hung:
        found, outcome, left = [f"hangs: {hung}"], Outcome(-1, "", ""), True
    finally:
        file.write_bytes(before)
    if outcome.code and (again or left):
        second = run(target.arguments(out))
        if second.code:
            found.append(f"does not work undamaged afterwards: {second.err[-500:]}")
    target.tidy()
    tally.counts[target.kind, "FAULT" if found else "works" if outcome.code == 0 else "one line"] += 1
    tally.faults += [f"{name}: {what}" for what in found]
    if found:
        with tally.log.open("a", encoding="utf-8") as log:
            log.writelines(f"{name}: {what}\n" for what in found)


def run(arguments: Sequence[str]) -> Outcome:
    """`hbt` with these arguments, in this process."""
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    handlers = root.handlers[:]
    root.handlers[:] = []
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _no_hang():
            try:
                code = main(arguments)
            except SystemExit as ended:
                code = -2
                print(f"Traceback (most recent call last): SystemExit({ended.code})", file=err)
            except Hung:
                raise
            except BaseException:
                code = -3
                traceback.print_exc(file=err)
    finally:
        root.handlers[:] = handlers
    return Outcome(code, out.getvalue(), err.getvalue())


def faults_of(outcome: Outcome) -> Iterator[str]:
    """Why an outcome is neither a success nor one clear line."""
    errors = [line for line in outcome.err.splitlines() if "hbt: error" in line]
    for text in _NEVER:
        if text in outcome.err or text in outcome.out:
            line = next((line for line in outcome.err.splitlines() if text in line), text)
            yield f"exit {outcome.code}, {line[:400]} ... {outcome.err[-300:] if text == _NEVER[0] else ''}"
            return
    if outcome.code == 0:
        if errors:
            yield f"exit 0 with {errors[0]}"
    elif outcome.code not in (1, 2):
        yield f"exit {outcome.code}"
    elif len(errors) != 1:
        yield f"exit {outcome.code} with {len(errors)} lines of an error: {outcome.err[-400:]}"
    elif not _ERROR.match(errors[0]) or len(errors[0]) > 3000 or not errors[0].isprintable():
        yield f"not one clear line: {errors[0][:400]!r} ({len(errors[0])} characters)"
    elif outcome.err.rstrip("\n").splitlines()[-1] != errors[0]:
        yield f"the error is not the last line: {outcome.err[-400:]}"


@contextlib.contextmanager
def _no_hang() -> Iterator[None]:
    """Hung where the block takes very long; a hang in native code ends the process with all stacks."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hung("".join(traceback.format_stack(frame, limit=5)))

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS_UNTIL_HUNG)
    faulthandler.dump_traceback_later(2 * SECONDS_UNTIL_HUNG, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
