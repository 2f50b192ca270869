"""One rank's part of writing one checkpoint, off the way of the steps: no collective is called here."""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from distributed_hbt.checkpoint_marker import MARKER, FileFacts, facts_of, sync, write_marker
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import WorkerFailed, one_line
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.checkpoints.attempt import Attempt, remove_folder

_LOOK_SECONDS = 0.02
_log = logging.getLogger(__name__)

WriteFiles = Callable[[Path], list[str]]
"""Writes the files of this rank into a folder, and returns their names below it."""


class CheckpointWrite:
    """Writes the files of this rank, and then what says that it did; the first rank waits for all of those
    and completes the checkpoint. `run` may be called in a thread; the other calls come from the main one."""

    def __init__(
        self,
        attempt: Attempt,
        step: int,
        ranks: Ranks,
        *,
        files: WriteFiles,
        completed: Callable[[], None],
        seconds: float,
    ) -> None:
        """`completed` is called by the first rank; `seconds`: how long that waits for the others, from when
        its own files are written."""
        self.folder = attempt.partial(step)
        self.error: WorkerFailed | None = None
        self.own_are_written = threading.Event()
        """Or could not be: then there is an `error`."""
        self._attempt = attempt
        self._step = step
        self._ranks = ranks
        self._seconds = seconds
        self._files: WriteFiles | None = files
        self._completed = completed
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self.run, name=f"checkpoint {step}", daemon=True)

    def start(self) -> None:
        """Run in a thread."""
        self._thread.start()

    def join(self, seconds: float | None = None) -> None:
        """Wait for the thread, if it was started."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def abandon(self) -> None:
        """Do not wait for other ranks any more."""
        self._abandoned.set()

    def run(self) -> None:
        """Sets `error` where the checkpoint could not be written."""
        try:
            self._write_own()
            self.own_are_written.set()
            if self._ranks.is_first:
                self._complete()
                self._completed()
        except WorkerFailed as error:
            self.error = error
        # Whatever it is, it has to reach the main thread and the other ranks.
        except Exception as error:
            _log.debug("checkpoint of step %d", self._step, exc_info=True)
            self.error = self._failed(error)
        finally:
            self.own_are_written.set()

    def _write_own(self) -> None:
        assert self._files is not None
        names = self._files(self.folder)
        self._files = None  # and with it the memory of what was written
        for name in names:
            sync(self.folder / name)
        files = {name: asdict(facts) for name, facts in facts_of(self.folder, names).items()}
        written = {"attempt": self._attempt.token, "step": self._step, "files": files}
        part = _part(self.folder, self._ranks.rank)
        aside = part.with_suffix(".partial")
        aside.write_text(json.dumps(written), encoding="utf-8")
        sync(aside)
        aside.rename(part)

    def _complete(self) -> None:
        files = self._files_of_all()
        for rank in range(self._ranks.world_size):
            _part(self.folder, rank).unlink()
        about = {"step": self._step, "attempt": self._attempt.token, "world_size": self._ranks.world_size}
        write_marker(self.folder, files, about)
        if not self._attempt.is_current():
            raise self._attempt.superseded()
        _publish(self.folder, self._attempt.directory, self._step)

    def _files_of_all(self) -> dict[str, FileFacts]:
        files: dict[str, FileFacts] = {}
        ends_at = time.monotonic() + self._seconds
        for rank in range(self._ranks.world_size):
            part = _part(self.folder, rank)
            while not part.exists():
                if time.monotonic() > ends_at or self._abandoned.wait(_LOOK_SECONDS):
                    raise self._failed(TimeoutError(f"rank {rank} has not written its files"))
            written = json.loads(part.read_text(encoding="utf-8"))
            assert (written["attempt"], written["step"]) == (self._attempt.token, self._step)
            files |= {name: FileFacts(**facts) for name, facts in written["files"].items()}
        return files

    def _failed(self, error: Exception) -> WorkerFailed:
        what = f"could not be written by rank {self._ranks.rank} ({_cause(error)})"
        remedy = "make room, or see to the disk, and start again: it resumes from the checkpoint before"
        return WorkerFailed(str(self._attempt.directory.checkpoint(self._step)), what, remedy)


def _cause(error: BaseException) -> str:
    """What the system said, where it said something: torch covers that with a message of its own."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return one_line(error)


def _publish(folder: Path, directory: RunDirectory, step: int) -> None:
    """Give the folder its name. A complete checkpoint that has it already is never touched: it is the same,
    written by an attempt that has ended since."""
    final = directory.checkpoint(step)
    if (final / MARKER).exists():
        _log.info("%s is there already", final)
        remove_folder(folder)
        return
    if final.exists():
        remove_folder(final)
    folder.rename(final)
    sync(final.parent)
    _log.info("wrote %s", final)


def _part(folder: Path, rank: int) -> Path:
    """What a rank says of the files that it has written."""
    return folder / f".rank-{rank:05d}.json"
