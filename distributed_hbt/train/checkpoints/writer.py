"""Writes a training's checkpoints: beside its steps, or while they wait."""

import copy
import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch.distributed as dist
from torch import Tensor

from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import HbtError, WorkerFailed
from distributed_hbt.models.saved import save_encoder
from distributed_hbt.train.checkpoints.attempt import Attempt, remove_folder
from distributed_hbt.train.checkpoints.engine_files import (
    ENGINE,
    engine_files,
    write_converters,
    write_engine_file,
)
from distributed_hbt.train.checkpoints.retention import remove_surplus
from distributed_hbt.train.checkpoints.state import Saved, TrainState, write_state
from distributed_hbt.train.checkpoints.write import CheckpointWrite
from distributed_hbt.train.engine import Session
from distributed_hbt.train.weights import whole_weights

_log = logging.getLogger(__name__)

_PARTING_SECONDS = 5.0
"""How long a training that has lost a rank waits for a checkpoint in hand."""


class CheckpointWriter:
    """One checkpoint is in hand at a time. Within its block training may go on; at the end of the block the
    checkpoint in hand is complete, or an error is raised on every rank. Where the block ends with an error it
    is completed too, unless ranks may be lost.
    """

    def __init__(self, config: RunConfig, session: Session, attempt: Attempt, saved: Saved) -> None:
        self._config = config
        self._session = session
        self._attempt = attempt
        # The thread's own: a tokenizer is not to be used by two threads at a time.
        self._saved = Saved(copy.deepcopy(saved.tokenizer), saved.manifest, saved.adapter)
        self._in_hand: CheckpointWrite | None = None

    def save(self, engine: Any, state: TrainState) -> None:
        """Begin a checkpoint, once the one before is complete; every rank must call it. Where it returns, the
        engine may step. Raises WorkerFailed on every rank."""
        self.settle()
        self._open(state.step)
        asynchronous = self._config.train.checkpoints.asynchronous
        contents = engine_files(engine, copied=asynchronous, trainable_only=self._saved.adapter)
        ranks = self._session.ranks
        weights = whole_weights(engine, ranks, trainable_only=self._saved.adapter)
        encoder = _EncoderFiles(engine.module.encoder, weights, self._saved, state)
        write = CheckpointWrite(
            self._attempt,
            state.step,
            ranks,
            files=partial(_write_files, contents, encoder if ranks.is_first else None),
            completed=partial(remove_surplus, self._config, self._attempt.directory),
            seconds=self._session.collective_limit.total_seconds(),
        )
        self._in_hand = write
        if asynchronous:
            write.start()
        else:
            write.run()
            self.settle()

    def in_trouble(self) -> bool:
        """Whether this rank knows that the next `save` will raise: a file could not be written, or another
        attempt was started. Quick enough for every step."""
        if self._in_hand is not None and self._in_hand.error is not None:
            return True
        return self._session.ranks.is_first and self._attempt.is_replaced()

    def settle(self) -> None:
        """Wait for the checkpoint in hand; every rank must call it. Raises WorkerFailed on every rank, the
        same, where one of them could not write or another attempt was started."""
        write = self._in_hand
        if write is None:
            return
        write.own_are_written.wait()
        self._agree(write, self._error_of(write))
        write.join()  # the first rank has what it waits for
        self._agree(write, self._error_of(write))
        self._in_hand = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.settle()
        elif self._in_hand is not None:
            # The project's own errors come of a process that goes on: so do the threads of all ranks.
            self._in_hand.join(None if isinstance(error, HbtError) else _PARTING_SECONDS)
            if self._in_hand.error is not None:
                _log.warning("%s", self._in_hand.error)
            self._drop(self._in_hand)

    def _open(self, step: int) -> None:
        """Make the folder to write into, unless another attempt has the run by now."""
        error = None
        if self._session.ranks.is_first:
            try:
                if not self._attempt.is_current():
                    raise self._attempt.superseded()
                self._attempt.partial(step).mkdir()
            except WorkerFailed as fenced:
                error = fenced
            except OSError as failed:
                what = f"could not be made ({failed.strerror})"
                error = WorkerFailed(str(self._attempt.partial(step)), what, "make room, and start again")
        shared = [error]
        dist.broadcast_object_list(shared)
        if shared[0] is not None:
            raise shared[0]

    def _error_of(self, write: CheckpointWrite) -> WorkerFailed | None:
        if self._session.ranks.is_first and self._attempt.is_replaced():
            return self._attempt.superseded()  # which explains whatever went wrong with the files
        return write.error

    def _agree(self, write: CheckpointWrite, error: WorkerFailed | None) -> None:
        """Raise the first of all ranks' errors on every one."""
        errors: list[WorkerFailed | None] = [None] * self._session.ranks.world_size
        dist.all_gather_object(errors, error)
        found = next((one for one in errors if one is not None), None)
        if found is None:
            return
        self._drop(write)
        raise found

    def _drop(self, write: CheckpointWrite) -> None:
        """Remove what was written of a checkpoint, unless it is complete."""
        write.abandon()
        write.join(_PARTING_SECONDS)
        self._in_hand = None
        if self._session.ranks.is_first and write.folder.exists():
            try:
                remove_folder(write.folder)
            except OSError as error:  # the next start tries again
                _log.warning("%s could not be removed (%s)", write.folder, error.strerror)


@dataclass(frozen=True)
class _EncoderFiles:
    """What the first rank writes beside its engine's files. `encoder` gives names and shapes alone."""

    encoder: Any
    weights: dict[str, Tensor]
    saved: Saved
    state: TrainState

    def write(self, folder: Path) -> list[str]:
        save_encoder(
            folder / "encoder", self.encoder, self.saved.tokenizer, self.saved.manifest, self.weights
        )
        write_state(folder, self.state)
        return ["state.json", *(f"encoder/{path.name}" for path in (folder / "encoder").iterdir())]


def _write_files(contents: dict[str, Any], encoder: _EncoderFiles | None, folder: Path) -> list[str]:
    """Write the files of a rank into the folder of a checkpoint; their names below it. `contents` is empty
    then. Raises OSError, or what torch and safetensors make of one."""
    engine = folder / ENGINE
    engine.mkdir(exist_ok=True)
    names = [f"{ENGINE}/{name}" for name in contents]
    for name in list(contents):
        write_engine_file(engine / name, contents.pop(name))
    if encoder is None:
        return names
    if any("zero_pp_rank" in name for name in names):
        names += [f"{ENGINE}/{name}" for name in write_converters(engine)]
    return [*names, *encoder.write(folder)]
