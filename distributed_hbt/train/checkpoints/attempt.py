"""One attempt at a time writes into a run: the one that was started last, also where no file lock reaches."""

import contextlib
import json
import logging
import os
import platform
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch.distributed as dist

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError, WorkerFailed
from distributed_hbt.run_directory import RunDirectory, write_aside

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """This attempt to train: all its ranks have the same token."""

    directory: RunDirectory
    token: str

    def is_current(self) -> bool:
        """Whether no other attempt has been started since. For the first rank, which reads a small file.

        Raises OSError where the file system does not say.
        """
        try:
            content = self.directory.attempt.read_text(encoding="utf-8")
        except FileNotFoundError:  # somebody has removed the run
            return False
        return f'"{self.token}"' in content

    def is_replaced(self) -> bool:
        """Whether another attempt is known to have been started since: quick enough for every step. Where the
        file system does not say, training goes on until it has something to write."""
        try:
            return not self.is_current()
        except OSError as error:
            _log.debug("%s: %s", self.directory.attempt, error)
            return False

    def superseded(self) -> WorkerFailed:
        """What an attempt ends with once it is not current any more."""
        return WorkerFailed(
            str(self.directory.path),
            "another attempt to train this run was started after this one, which has written nothing since",
            "let that one go on, or end it and start again",
        )

    def partial(self, step: int) -> Path:
        """Where this attempt, and no other, writes the checkpoint of a step."""
        final = self.directory.checkpoint(step)
        return final.with_name(f"{final.name}.partial-{self.token}")


def begin_attempt(directory: RunDirectory, ranks: Ranks) -> Attempt:
    """A new attempt, which fences off all before it; every rank must call it.

    First the token is written, then what others have left half written is removed: an attempt that has looked
    at the token before can not rename a folder any more that is gone. Raises ConfigError on every rank.
    """
    shared: list[str | ConfigError] = [""]
    if ranks.is_first:
        try:
            shared = [_write_token(directory)]
            _remove_leftovers(directory)
        except OSError as error:
            what = f"{directory.path} can not be written ({error.strerror})"
            shared = [ConfigError("output_dir", what, "make room, or choose another")]
    dist.broadcast_object_list(shared)
    if isinstance(shared[0], ConfigError):
        raise shared[0]
    return Attempt(directory, shared[0])


def remove_folder(folder: Path) -> None:
    """Rename it, so that no reader takes what is left of it for whole, then remove it. Raises OSError."""
    aside = folder.with_name(f"{folder.name}.removed-{uuid.uuid4().hex[:8]}")
    folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _write_token(directory: RunDirectory) -> str:
    token = uuid.uuid4().hex[:12]
    directory.checkpoints.mkdir(parents=True, exist_ok=True)
    about = {"token": token, "host": platform.node(), "pid": os.getpid(), "began": time.time()}
    write_aside(directory.attempt, json.dumps(about))
    return token


def _remove_leftovers(directory: RunDirectory) -> None:
    """Folders that a killed writer, or one that is fenced off now, has half written or half removed."""
    for pattern in ("step-*.partial*", "step-*.removed-*"):
        for folder in directory.checkpoints.glob(pattern):
            _log.info("removing %s, which was never completed", folder)
            with contextlib.suppress(FileNotFoundError):  # its own writer was quicker
                remove_folder(folder)
