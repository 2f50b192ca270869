"""Checkpoints: written aside, completed by a marker, then renamed; read back only when whole."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import CheckpointError
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import save_encoder
from distributed_hbt.run_directory import MARKER, RunDirectory
from distributed_hbt.train.another_world import can_change
from distributed_hbt.train.engine import Session
from distributed_hbt.train.weights import whole_weights


@dataclass(frozen=True)
class TrainState:
    """What a resume needs to know beside the engine's own state; `step` steps are done.

    There is no random state in it: batches and dropout are pure functions of (seed, step).
    `next_batch` is a digest of the rows of the next batch, to notice another data order.
    """

    step: int
    name: str
    seed: int
    world_size: int
    zero_stage: int
    store: str
    next_batch: str
    tracking_run: str | None


@dataclass(frozen=True)
class Saved:
    """What an encoder export needs."""

    tokenizer: Any
    manifest: EncoderManifest
    adapter: bool


def save_checkpoint(
    session: Session, engine: Any, directory: RunDirectory, state: TrainState, saved: Saved
) -> Path:
    """Write one checkpoint; every rank must call it. Returns its folder."""
    final = directory.checkpoint(state.step)
    partial = final.with_name(f"{final.name}.partial")
    if session.ranks.is_first:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    dist.barrier()
    engine.save_checkpoint(
        str(partial), tag="engine", save_latest=False, exclude_frozen_parameters=saved.adapter
    )
    weights = whole_weights(engine, session.ranks, trainable_only=saved.adapter)
    dist.barrier()
    if session.ranks.is_first:
        encoder = engine.module.encoder
        save_encoder(partial / "encoder", encoder, saved.tokenizer, saved.manifest, weights)
        (partial / "state.json").write_text(json.dumps(asdict(state), indent=2), encoding="utf-8")
        for script in partial.glob("zero_to_*.py"):  # DeepSpeed's own converters
            script.rename(partial / "engine" / script.name)
        (partial / MARKER).touch()
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    dist.barrier()
    return final


@dataclass(frozen=True)
class Chosen:
    """The checkpoint that a training goes on from, and its state."""

    path: Path
    state: TrainState


def choose_checkpoint(directory: RunDirectory, ranks: Ranks) -> Chosen | None:
    """The checkpoint to go on from, the same on every rank, which must call it; None where there is none.

    It is known before the engine is built. Raises CheckpointError.
    """
    found: list[Path | None] = [last_checkpoint(directory) if ranks.is_first else None]
    dist.broadcast_object_list(found)
    path = found[0]
    return None if path is None else Chosen(path, read_state(path))


def last_checkpoint(directory: RunDirectory) -> Path | None:
    """The newest complete checkpoint; leftovers of a killed writer are not complete and not seen."""
    complete = completed_checkpoints(directory)
    return complete[-1] if complete else None


def completed_checkpoints(directory: RunDirectory) -> list[Path]:
    """Folders of all complete checkpoints, oldest first."""
    return sorted(
        path
        for path in directory.checkpoints.glob("step-*")
        if path.suffix != ".partial" and (path / MARKER).exists()
    )


def read_state(checkpoint: Path) -> TrainState:
    """Raises CheckpointError if state.json is missing or damaged."""
    path = checkpoint / "state.json"
    try:
        return TrainState(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(
            str(path), f"can not be read ({error})", "remove this checkpoint to resume from the one before"
        ) from error


def check_fits(checkpoint: Path, found: TrainState, expected: TrainState) -> None:
    """Refuse a checkpoint of another run or data order, or of a ZeRO stage that the run's can not go on from.
    The number of ranks may differ.

    `expected` has the step of `found`. Raises CheckpointError naming what differs.
    """
    remedies = {
        "name": "give the run another name, or remove the foreign checkpoint",
        "seed": "give the run another name, or remove the foreign checkpoint",
        "zero_stage": f"use the ds_configs file of stage {found.zero_stage}",
        "store": "the training data or tokenizer has changed; restore it, or give the run another name",
        "next_batch": "the data order has changed (another NumPy?); restore it, or give the run another name",
    }
    for field, remedy in remedies.items():
        got, want = getattr(found, field), getattr(expected, field)
        if got != want and not (field == "zero_stage" and can_change(got, want)):
            raise CheckpointError(str(checkpoint), f"has {field} {got}, this run {want}", remedy)


def load_engine(engine: Any, checkpoint: Path, *, adapter: bool) -> None:
    """Load weights and optimizer into the engine; every rank must call it. Raises CheckpointError."""
    try:
        path, _ = engine.load_checkpoint(
            str(checkpoint), tag="engine", load_module_strict=not adapter, load_lr_scheduler_states=False
        )
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, AssertionError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            str(checkpoint), f"can not be loaded ({first_line})", "remove it to resume from the one before"
        ) from error
    if path is None:
        raise CheckpointError(
            str(checkpoint), "has no engine state", "remove it to resume from the one before"
        )
