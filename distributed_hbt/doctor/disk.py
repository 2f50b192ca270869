"""The disk of output_dir: does it take writes, how fast, and is there room for the run's checkpoints."""

import errno
import logging
import math
import os
import tempfile
import time
from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.doctor.finding import Finding, Subject
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory

_CHECK = "disk"
WRITTEN_BYTES = 64 * 2**20
SLOW = 50e6
"""Bytes a second below which checkpoints of any size are slow."""
_GIB = 2**30
_log = logging.getLogger(__name__)


def check(subject: Subject) -> list[Finding]:
    """The written file is removed again."""
    folder = subject.folder
    try:
        speed = WRITTEN_BYTES / _timed_write(folder)
    except OSError as error:
        free = _free(folder) / 2**20
        what = f"{folder} does not take a file of {WRITTEN_BYTES // 2**20} MiB ({error.strerror}"
        what += f", {free:.0f} MiB free)" if error.errno == errno.ENOSPC else ")"
        return [Finding(_CHECK, "failure", what, "free some space there, or choose another output_dir")]
    what = f"{folder} takes {speed / 1e6:,.0f} MB/s, written through"
    if speed < SLOW:
        remedy = "choose a faster output_dir, or raise train.checkpoint_every"
        return [Finding(_CHECK, "warning", what, remedy), *_room(subject.run, folder, speed)]
    return [Finding(_CHECK, "ok", what), *_room(subject.run, folder, speed)]


def _timed_write(folder: Path) -> float:
    """Seconds until so many bytes are on the disk itself. Raises OSError."""
    block = os.urandom(2**20)  # what a file system compresses says nothing about weights
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".hbt-doctor-") as file:
        began = time.perf_counter()
        for _ in range(WRITTEN_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return time.perf_counter() - began


def _room(run: RunConfig | None, folder: Path, speed: float) -> list[Finding]:
    """As many checkpoints as the run still has to write, and keeps, must fit."""
    if run is None:
        return []
    size = checkpoint_size(run)
    if size is None:
        what = f"how large a checkpoint gets is not known, as {run.model.base} can not be read here"
        return [Finding(_CHECK, "warning", what, "see what the check of the model says")]
    count = missing_checkpoints(run)
    free, needed = _free(folder), count * size
    what = (
        f"{count} checkpoint{'' if count == 1 else 's'} of about {_size(size)} each are still to be written"
    )
    what += f", {size / speed:,.0f} s each at this speed from one process; {_size(free)} are free"
    if needed > free:
        remedy = "free space, raise train.checkpoint_every, or set train.checkpoints.keep_last"
        return [Finding(_CHECK, "failure", f"{what}, {_size(needed)} are needed", remedy)]
    if needed > 0.8 * free:
        remedy = "remember the evaluation's files, or raise train.checkpoint_every"
        return [Finding(_CHECK, "warning", what, remedy)]
    return [Finding(_CHECK, "ok", what)]


def missing_checkpoints(run: RunConfig) -> int:
    """How many checkpoints the run still has to write beyond those that it removes for them."""
    every, last = run.train.checkpoint_every, run.train.max_steps
    written, rules = len(RunDirectory(run.run_dir).complete_steps()), run.train.checkpoints
    total = -(-last // every)
    if rules.keep_last is None:
        return total - written
    beyond = last // math.lcm(every, rules.keep_every) if rules.keep_every else 0
    beyond += rules.best.number if rules.best else 0
    # One more: the oldest goes when the newest is there.
    return max(0, min(total, rules.keep_last + beyond + 1) - written)


def checkpoint_size(run: RunConfig) -> int | None:
    """Bytes on disk, without tokenizer and small files; None where nothing here knows the shape of the base.

    Raises ConfigError where the model can not be made.
    """
    from distributed_hbt.planner.architecture import architecture_of
    from distributed_hbt.planner.checkpoint import checkpoint_bytes
    from distributed_hbt.planner.parameters import count_parameters
    from distributed_hbt.train.zero import read_zero, with_deepspeed

    try:
        architecture = architecture_of(run.model)
    except ConfigError as error:  # said by the check of the model
        _log.debug("%s", error)
        return None
    path = with_deepspeed(run).train.deepspeed
    assert path is not None
    stage = int(read_zero(path)["zero_optimization"]["stage"])
    return checkpoint_bytes(count_parameters(architecture), run.model, stage=stage)


def _free(folder: Path) -> int:
    here = os.statvfs(folder)
    return here.f_bavail * here.f_frsize


def _size(size: float) -> str:
    return f"{size / _GIB:,.1f} GiB" if size >= _GIB else f"{size / 2**20:,.1f} MiB"
