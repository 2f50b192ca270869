"""The optimizer's state in a checkpoint, whatever the number of ranks that wrote it.

DeepSpeed writes, for each rank, flat fp32 tensors: a part of the weights, and of AdamW's two moments of them.
Which elements of which parameter lie where differs between the ZeRO stages; here that becomes `Piece`s, and
files are mapped, not read: who copies a piece reads its bytes and no others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distributed_hbt.train.checkpoints.only_data import only_data

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True, slots=True)
class Piece:
    """`length` elements of a flattened parameter from `start` on, which lie at `offset` of the flat tensor
    number `group` of a rank."""

    start: int
    length: int
    group: int
    offset: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class FlatState:
    """One flat tensor of a rank: weights, moments of the same shape by name, and the steps that are done."""

    weights: Tensor
    moments: Mapping[str, Tensor]
    step: Tensor

    def tensor(self, what: str) -> Tensor:
        """`weights`, or a moment by its name."""
        return self.weights if what == "weights" else self.moments[what]


@dataclass(frozen=True)
class SavedOptimizer:
    """All ranks' flat tensors, and for each parameter its pieces with the rank that has them, by `start`."""

    flats: Sequence[Sequence[FlatState]]
    pieces: Mapping[str, Sequence[tuple[int, Piece]]]

    def numel(self, name: str) -> int:
        """Elements of a parameter; 0 where it is not there."""
        return sum(piece.length for _, piece in self.pieces.get(name, ()))

    def copy(self, what: str, name: str, start: int, into: Tensor) -> None:
        """Copy elements of `weights`, or of a moment, of a parameter from `start` on into a flat tensor."""
        end = start + into.numel()
        for rank, piece in self.pieces[name]:
            first, last = max(start, piece.start), min(end, piece.end)
            if first < last:
                flat = self.flats[rank][piece.group].tensor(what)
                found = flat.narrow(0, piece.offset + first - piece.start, last - first)
                into.narrow(0, first - start, last - first).copy_(found)


def read_optimizer(engine_folder: Path, *, stage: int, world_size: int) -> SavedOptimizer:
    """What `world_size` ranks of that ZeRO stage (1, 2, 3) have written. Raises OSError, RuntimeError or
    KeyError where it is not whole."""
    states = [_rank_state(engine_folder, rank) for rank in range(world_size)]
    if stage == 3:
        shapes = mapped(model_file(engine_folder))["param_shapes"]
        return _partitioned_weights(states, {k: s.numel() for group in shapes for k, s in group.items()})
    return _whole_weights(states)


def model_file(engine_folder: Path) -> Path:
    """The file with the module's buffers and the counters (under ZeRO-3 that of rank 0)."""
    for name in ("mp_rank_00_model_states.pt", "zero_pp_rank_0_mp_rank_00_model_states.pt"):
        if (engine_folder / name).exists():
            return engine_folder / name
    raise FileNotFoundError(f"no model_states file in {engine_folder}")


def mapped(path: Path) -> Any:
    """The content of a file of DeepSpeed's; tensors are read when they are used. No code of it is run."""
    with only_data():
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _rank_state(engine_folder: Path, rank: int) -> Any:
    """With bfloat16 weights the name begins with `bf16_`."""
    names = (f"{start}zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for start in ("", "bf16_"))
    path = next((engine_folder / name for name in names if (engine_folder / name).exists()), None)
    if path is None:
        raise FileNotFoundError(f"the optimizer state of rank {rank} is missing")
    return mapped(path)["optimizer_state_dict"]


def _whole_weights(states: Sequence[Any]) -> SavedOptimizer:
    """ZeRO 1 and 2: parameters lie one after the other in what is then cut in equal parts, one a rank. Each
    rank says what it has of which parameter; of one that was cut, the next rank has what follows."""
    flats = [
        _flats(state["single_partition_of_fp32_groups"], state["base_optimizer_state"]) for state in states
    ]
    pieces: dict[str, list[tuple[int, Piece]]] = {}
    for rank, state in enumerate(states):
        for group, mapping in enumerate(state["param_slice_mappings"]):
            for name, place in mapping.items():
                so_far = pieces.setdefault(name, [])
                start = so_far[-1][1].end if so_far else 0
                so_far.append((rank, Piece(start, place.numel, group, place.start)))
    return SavedOptimizer(flats, pieces)


def _partitioned_weights(states: Sequence[Any], numels: Mapping[str, int]) -> SavedOptimizer:
    """ZeRO 3: every parameter is cut in equal parts, one a rank, the last one padded; a rank's parts lie one
    after the other in its flat tensors, of which none cuts a part."""
    flats = [_flats(state["fp32_flat_groups"], state["optimizer_state_dict"]) for state in states]
    pieces: dict[str, list[tuple[int, Piece]]] = {name: [] for name in numels}
    for rank, rank_flats in enumerate(flats):
        parts = {name: -(-numel // len(states)) for name, numel in numels.items()}
        for name, group, offset in _placed(parts, [len(flat.weights) for flat in rank_flats]):
            start = rank * parts[name]
            length = min(parts[name], numels[name] - start)
            if length > 0:
                pieces[name].append((rank, Piece(start, length, group, offset)))
    return SavedOptimizer(flats, pieces)


def _placed(parts: Mapping[str, int], groups: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Name, group and offset there of parts of so many elements, laid into groups of that many in order."""
    if sum(parts.values()) != sum(groups):
        raise RuntimeError(f"{sum(groups)} elements where parameters have {sum(parts.values())}")
    group, offset = 0, 0
    for name, length in parts.items():
        if offset == groups[group]:
            group, offset = group + 1, 0
        yield name, group, offset
        offset += length


def _flats(weights: Sequence[Tensor], optimizer: Any) -> list[FlatState]:
    """`optimizer` is the state_dict of a torch AdamW over flat tensors. Its groups name them by number; their
    own order is that of the weights, group after group."""
    order = list(chain.from_iterable(group["params"] for group in optimizer["param_groups"]))
    states = [optimizer["state"][number] for number in order]
    return [
        FlatState(flat, {moment: state[moment] for moment in MOMENTS}, state["step"])
        for flat, state in zip(weights, states, strict=True)
    ]
