"""What the ranks of a pool are asked to do with checkpoints. Each runs on every rank."""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager as Context
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

from distributed_hbt.config.load import load_run
from distributed_hbt.distributed.process_group import ranks_from_environment
from distributed_hbt.errors import HbtError, WorkerFailed
from distributed_hbt.run_directory import RunDirectory, check_run_directory, write_config
from distributed_hbt.tracking.json_lines import JsonLines
from distributed_hbt.train.checkpoints import write as checkpoint_write
from distributed_hbt.train.checkpoints import writer as checkpoint_writer
from distributed_hbt.train.checkpoints.choice import choose_checkpoint
from distributed_hbt.train.loop import StepRecord
from distributed_hbt.train.prepared import prepare
from distributed_hbt.train.worker import train
from tests.distributed.rank_tasks import join

OnStep = Callable[[int], None]


class Lines(logging.Handler):
    """Keeps warnings as the user sees them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


def chosen(run_file: str, overrides: list[str]) -> tuple[str, list[str]]:
    """The name of the checkpoint that a training would go on from, "none", or the error; and warnings."""
    join()
    directory = RunDirectory(load_run(Path(run_file), overrides).run_dir)
    lines = Lines()
    logging.getLogger("distributed_hbt").addHandler(lines)
    try:
        found = choose_checkpoint(directory, ranks_from_environment())
    except HbtError as error:
        return f"{type(error).__name__}: {error}", lines.seen
    finally:
        logging.getLogger("distributed_hbt").removeHandler(lines)
    return ("none" if found is None else found.path.name), lines.seen


def train_run(
    run_file: str, overrides: list[str], within: str = "nothing", place: str = ""
) -> tuple[list[int], str]:
    """The worker itself, with train.jsonl as the pipeline writes it; the steps that this rank has done, and
    the error that it ended with, or "". `within` names one of the circumstances below."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    config = load_run(Path(run_file), overrides)
    directory, ranks = check_run_directory(config), ranks_from_environment()
    if ranks.is_first:
        write_config(directory, config)
    done: list[int] = []
    circumstances: dict[str, Callable[[Path, int], Context[OnStep]]] = {
        "nothing": lambda *_: nullcontext(lambda step: None),
        "pause_in_step": pause_in_step,
        "pause_before_rename": pause_before_rename,
        "late_writes": late_writes,
        "full_disk": full_disk,
        "failing_rank": failing_rank,
        "half_a_file": half_a_file,
        "failing_step": failing_step,
    }
    with ExitStack() as open_files, circumstances[within](Path(place), ranks.rank) as on_step:

        def log_from(steps_done: int) -> Callable[[StepRecord], None]:
            lines = None
            if ranks.is_first:
                lines = open_files.enter_context(JsonLines(directory.train_log, last_step=steps_done))

            def log(record: StepRecord) -> None:
                done.append(record.step)
                if lines is not None:
                    lines.write({"step": record.step, "loss": record.loss})
                on_step(record.step)

            return log

        try:
            train(config, ranks, directory, prepare(config), log_from=log_from)
        except HbtError as error:
            return done, f"{type(error).__name__}: {error}"
    return done, ""


@contextmanager
def pause_in_step(place: Path, rank: int) -> Iterator[OnStep]:
    """After step 3 the first rank waits until somebody writes `place`/go."""

    def on_step(step: int) -> None:
        if step == 3 and rank == 0:
            _wait_at(place)

    yield on_step


@contextmanager
def pause_before_rename(place: Path, rank: int) -> Iterator[OnStep]:
    """The first rank has seen that it may write, and stands still before it gives a checkpoint its name."""
    publish = checkpoint_write._publish

    def late(*arguments: Any) -> None:
        _wait_at(place)
        publish(*arguments)

    with mock.patch.object(checkpoint_write, "_publish", late):
        yield lambda step: None


@contextmanager
def late_writes(place: Path, rank: int) -> Iterator[OnStep]:
    """The thread gets to writing the checkpoint of step 5 when three further steps are done."""
    passed = threading.Event()
    write_files = checkpoint_writer._write_files

    def late(*arguments: Any) -> list[str]:
        passed.wait()
        return write_files(*arguments)

    with mock.patch.object(checkpoint_writer, "_write_files", late):
        yield lambda step: passed.set() if step == 8 else None


@contextmanager
def full_disk(place: Path, rank: int) -> Iterator[OnStep]:
    """After step 3 the disk that `place` is on has 64 KiB left."""

    def on_step(step: int) -> None:
        if step == 3 and rank == 0:
            free = os.statvfs(place)
            (place / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - 2**16))

    yield on_step


@contextmanager
def failing_rank(place: Path, rank: int) -> Iterator[OnStep]:
    """The last rank alone can not write the checkpoint of step 4."""
    write_file = checkpoint_writer.write_engine_file

    def failing(path: Path, content: Any) -> None:
        if rank == 1 and "step-00000004" in str(path):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(path))
        write_file(path, content)

    with mock.patch.object(checkpoint_writer, "write_engine_file", failing):
        yield lambda step: None


@contextmanager
def failing_step(place: Path, rank: int) -> Iterator[OnStep]:
    """Step 7 fails on every rank, as with a loss of NaN, and only then the files of step 5 are written."""
    failed = threading.Event()
    write_files = checkpoint_writer._write_files

    def late(*arguments: Any) -> list[str]:
        failed.wait()
        return write_files(*arguments)

    def on_step(step: int) -> None:
        if step == 7:
            failed.set()
            raise WorkerFailed("step 7", "the loss is nan", "try another")

    with mock.patch.object(checkpoint_writer, "_write_files", late):
        yield on_step


@contextmanager
def half_a_file(place: Path, rank: int) -> Iterator[OnStep]:
    """The first file of step 3's checkpoint is half written, and stays so."""
    write_file = checkpoint_writer.write_engine_file

    def half(path: Path, content: Any) -> None:
        write_file(path, content)
        if "step-00000003" in str(path):
            os.truncate(path, path.stat().st_size // 2)
            _wait_at(place)

    with mock.patch.object(checkpoint_writer, "write_engine_file", half):
        yield lambda step: None


def _wait_at(place: Path) -> None:
    (place / "reached").touch()
    while not (place / "go").exists():
        time.sleep(0.02)
