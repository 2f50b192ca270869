"""What a checkpoint says of its training, and how an engine takes it up again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.errors import CheckpointError, one_line
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.train.checkpoints.another_world import can_change
from distributed_hbt.train.checkpoints.only_data import only_data

_CHECKSUMS = {"checksums": "COMPLETE"}
"""Says in state.json that the marker has checksums: one that is empty is damaged, and no older version's."""


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
    skipped_steps: int = 0


@dataclass(frozen=True)
class Saved:
    """What an encoder export needs."""

    tokenizer: Any
    manifest: EncoderManifest
    adapter: bool


def write_state(checkpoint: Path, state: TrainState) -> None:
    """Write state.json. Raises OSError."""
    content = {**asdict(state), **_CHECKSUMS}
    (checkpoint / "state.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def read_state(checkpoint: Path) -> TrainState:
    """Raises CheckpointError if state.json is missing or damaged."""
    path = checkpoint / "state.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return TrainState(**{name: value for name, value in content.items() if name not in _CHECKSUMS})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
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
        with only_data():
            path, _ = engine.load_checkpoint(
                str(checkpoint), tag="engine", load_module_strict=not adapter, load_lr_scheduler_states=False
            )
    except Exception as error:  # of torch, pickle and DeepSpeed, which trusts in what it finds in the files
        raise CheckpointError(
            str(checkpoint),
            f"can not be loaded ({one_line(error)})",
            "remove it to resume from the one before",
        ) from error
    if path is None:
        raise CheckpointError(
            str(checkpoint), "has no engine state", "remove it to resume from the one before"
        )
