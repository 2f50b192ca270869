"""Which checkpoint a training goes on from: the newest that can be trusted."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch.distributed as dist

from distributed_hbt.checkpoint_marker import (
    Damage,
    Files,
    damage_of,
    is_unverifiable,
    read_marker,
    surplus_of,
)
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import CheckpointError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.checkpoints.state import TrainState, read_state

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Chosen:
    """The checkpoint that a training goes on from, and its state."""

    path: Path
    state: TrainState


def choose_checkpoint(directory: RunDirectory, ranks: Ranks) -> Chosen | None:
    """The newest checkpoint that is as it was written, the same on every rank, which must call it; None where
    the run has none. It is known before the engine is built.

    A damaged one is named in a line of the log and set aside as `step-X.damaged`, so that it is written anew.
    Raises CheckpointError on every rank where no checkpoint is left that can be trusted.
    """
    steps = _shared(ranks, directory.checkpoint_steps())
    damaged: dict[Path, str] = {}
    for step in reversed(steps):
        path = directory.checkpoint(step)
        found = _verified(path, ranks)
        if isinstance(found, TrainState):
            if ranks.is_first:
                _set_aside(damaged, path)
            return Chosen(path, found)
        damaged[path] = found
    if damaged:
        what = next(iter(damaged.values()))
        raise CheckpointError(
            str(directory.checkpoints),
            f"none of {len(damaged)} checkpoints can be trusted (the newest: {what})",
            "restore one from a copy, or remove the folder to train from the first step",
        )
    return None


def _verified(path: Path, ranks: Ranks) -> TrainState | str:
    """The checkpoint's state, or what is wrong with it. Every rank reads a share of its files."""
    files = _shared(ranks, read_marker(path) if ranks.is_first else {})
    if isinstance(files, Damage):
        return str(files)
    if ranks.is_first and is_unverifiable(path):
        _log.warning("%s is of an older version, without checksums: it is not verified", path)
    mine = damage_of(path, _share(files, ranks))
    found: list[Damage | None] = [None] * ranks.world_size
    dist.all_gather_object(found, mine or (surplus_of(path, files) if ranks.is_first else None))
    damage = next((one for one in found if one is not None), None)
    return str(damage) if damage is not None else _shared(ranks, _state(path) if ranks.is_first else "")


def _state(path: Path) -> TrainState | str:
    try:
        return read_state(path)
    except CheckpointError as error:
        return f"{error.where} {error.what}"


def _share(files: Files, ranks: Ranks) -> Files:
    """A rank's part of the files: the largest first, to every rank in turn."""
    by_size = sorted(files.items(), key=lambda item: (-item[1].bytes, item[0]))
    return dict(by_size[ranks.rank :: ranks.world_size])


def _set_aside(damaged: dict[Path, str], used: Path) -> None:
    for path, what in damaged.items():
        aside = path.with_name(f"{path.name}.damaged")
        number = 1
        while aside.exists():
            number += 1
            aside = path.with_name(f"{path.name}.damaged-{number}")
        path.rename(aside)
        _log.warning("%s, so that %s is used; the damaged checkpoint is now %s", what, used, aside)


def _shared(ranks: Ranks, value: _Value) -> _Value:
    """The first rank's value, on every rank."""
    values = [value]
    dist.broadcast_object_list(values)
    return values[0]
