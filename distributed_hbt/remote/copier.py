"""A thread that copies complete checkpoints elsewhere while the run goes on."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import one_line
from distributed_hbt.remote.target import Copy, Remote, new_attempt, open_remote, problems_of
from distributed_hbt.run_directory import RunDirectory

PAUSES = (1.0, 5.0, 15.0, 60.0)
"""Seconds before each further attempt while the store can not be reached; then the last of them."""
_LOOK_SECONDS = 1.0
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def copying(config: RunConfig, directory: RunDirectory, due: Collection[int]) -> Iterator[None]:
    """Copy the run's checkpoints during the block, where `remote` is set; one process of a run does this.

    `due`: steps whose checkpoints are evaluated. At the end it waits `remote.finish_seconds` at most. Raises
    ConfigError naming remote.url where a run that is new can not write there; one that has begun goes on.
    """
    if config.remote is None:
        yield
        return
    remote = open_remote(config.remote, config.name)
    attempt = new_attempt()
    if not directory.config.exists():
        with problems_of(config.remote.url):
            remote.check_writable(attempt)

    labels = [benchmark.label for benchmark in config.evaluation.benchmarks]

    def unevaluated(step: int) -> bool:
        return step in due and not directory.has_results(step, labels)

    copier = Copier(remote, directory, attempt, config.remote.keep_last, unevaluated)
    try:
        yield
    finally:
        copier.close(config.remote.finish_seconds)


class Copier:
    """Looks at the run directory every second; the newest checkpoint is copied first. Never raises."""

    def __init__(
        self,
        remote: Remote,
        directory: RunDirectory,
        attempt: str,
        keep_last: int | None,
        is_needed: Callable[[int], bool] = lambda step: False,
        *,
        pauses: tuple[float, ...] = PAUSES,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """`is_needed`: whether a checkpoint is kept there that is not among the `keep_last`."""
        self._remote = remote
        self._directory = directory
        self._attempt = attempt
        self._keep_last = keep_last
        self._is_needed = is_needed
        self._pauses = pauses
        self._look_seconds = look_seconds
        self._copied: set[int] | None = None
        self._failures = 0
        self._closing = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="remote-copy", daemon=True)
        self._thread.start()

    def close(self, seconds: float) -> list[int]:
        """Copy what is left, for `seconds` at most; the steps whose checkpoints are not copied then."""
        self._closing.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._stop.set()  # ends the pauses; what hangs in the network ends with the process
            self._thread.join(1.0)
        left = self._left()
        if left:
            what = "remote: checkpoints of steps %s are not in %s; the next start of the run copies them"
            _log.warning(what, ", ".join(map(str, sorted(left))), self._remote.where)
        return left

    def _run(self) -> None:
        while not self._stop.is_set():
            ends = self._closing.is_set()
            try:
                waits = not self._look()
            # Whatever the store's client raises, the run goes on and this tries again.
            except Exception as error:
                if not self._failures:
                    what = "remote: %s can not be used (%s); checkpoints wait in the run directory"
                    _log.warning(what, self._remote.where, one_line(error))
                self._failures += 1
                self._stop.wait(self._pauses[min(self._failures, len(self._pauses)) - 1])
                continue
            if self._failures:
                _log.info("remote: %s is back", self._remote.where)
                self._failures = 0
            if ends and waits:
                return
            if waits:
                self._closing.wait(self._look_seconds)

    def _look(self) -> bool:
        """Copy the newest checkpoint that is not copied; False where there is none."""
        if self._copied is None:
            for name in self._remote.unfinished(self._attempt):
                self._remote.remove(name)
            self._copied = {copy.step for copy in self._remote.copies()}
        left = self._left()
        if not left:
            return False
        step, began = left[0], time.monotonic()
        try:
            self._remote.upload(
                Copy(step, self._attempt),
                checkpoint_files(self._directory.checkpoint(step)),
                run_files(self._directory),
            )
        except FileNotFoundError:
            if self._directory.is_complete(step):
                raise
            self._remote.remove(Copy(step, self._attempt).name)  # not kept in the run directory either
            return True
        self._copied.add(step)
        _log.info("copied the checkpoint of step %d to %s", step, self._remote.where)
        _log.debug("the copy took %.1f s", time.monotonic() - began)
        self._remove_old()
        return True

    def _left(self) -> list[int]:
        """Steps that are to be copied still, newest first."""
        local = self._directory.complete_steps()
        copied = self._copied or set()
        wanted = self._kept(sorted({*local, *copied}))
        return sorted((step for step in local if step in wanted and step not in copied), reverse=True)

    def _kept(self, steps: list[int]) -> set[int]:
        if self._keep_last is None:
            return set(steps)
        return {*steps[-self._keep_last :], *filter(self._is_needed, steps)}

    def _remove_old(self) -> None:
        """Never the newest: what is kept is chosen among all copies that are there."""
        if self._keep_last is None:
            return
        copies = self._remote.copies()
        kept = self._kept(sorted({copy.step for copy in copies}))
        for copy in copies:
            if copy.step not in kept:
                self._remote.remove(copy.name)


def checkpoint_files(checkpoint: Path) -> dict[str, Path]:
    """All files of a checkpoint, by their names in a copy."""
    paths = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    return {f"checkpoint/{path.relative_to(checkpoint).as_posix()}": path for path in paths}


def run_files(directory: RunDirectory) -> dict[str, bytes]:
    """Small files that a run goes on with, as they are now: its configuration, MLflow run, log, results of
    evaluations without TREC runs, and the random weights that adapters stand on."""
    names = [directory.config, directory.path / "mlflow.json", directory.train_log]
    results = (directory.path / "evaluation").glob("*/*/*")
    paths = [*names, *results, *directory.base.rglob("*")]
    return {
        f"run/{path.relative_to(directory.path).as_posix()}": path.read_bytes()
        for path in paths
        if path.is_file()
    }
