"""Going on from a checkpoint that another number of ranks, or another ZeRO stage, has written.

Every rank copies what it is to hold of the weights and of AdamW's moments out of the files that the former
ranks have written, and nothing else: no conversion to wait for, no second copy on the disk. (DeepSpeed's
universal checkpoints are written by one process, while the others wait, and then read whole by every rank.)
What is copied is copied bit for bit.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import CheckpointError, one_line
from distributed_hbt.train.checkpoints.saved_optimizer import (
    MOMENTS,
    Piece,
    SavedOptimizer,
    mapped,
    model_file,
    read_optimizer,
)


def can_change(found_stage: int, stage: int) -> bool:
    """Whether a checkpoint of `found_stage` can be gone on from with `stage`. ZeRO-0 keeps its optimizer in
    another form."""
    return found_stage == stage or 0 not in (found_stage, stage)


def load_from_other_ranks(
    engine: Any, checkpoint: Path, ranks: Ranks, *, found_stage: int, found_world_size: int
) -> None:
    """Load weights and optimizer that `found_world_size` ranks under ZeRO `found_stage` (1, 2, 3) have
    written; every rank must call it. Raises CheckpointError."""
    folder = checkpoint / "engine"
    try:
        saved = read_optimizer(folder, stage=found_stage, world_size=found_world_size)
        counters = mapped(model_file(folder))
        _check_same(engine, saved)
        if engine.zero_optimization_stage() == 3:
            engine.optimizer.checkpoint_event_prologue()
        _fill(engine, ranks, saved)
        _fill_buffers(engine.module, counters)
        _settle_weights(engine)
    except (OSError, RuntimeError, KeyError, ValueError, EOFError, AssertionError) as error:
        what = f"can not be loaded by {ranks.world_size} ranks ({type(error).__name__}: {one_line(error)})"
        raise CheckpointError(str(checkpoint), what, "remove it to resume from the one before") from error
    for name in ("global_steps", "global_samples", "skipped_steps"):
        setattr(engine, name, counters[name])


def _check_same(engine: Any, saved: SavedOptimizer) -> None:
    """The checkpoint has all elements of the parameters that are trained, and no other parameters."""
    trained = {
        name: getattr(parameter, "ds_numel", parameter.numel())
        for name, parameter in engine.module.named_parameters()
        if parameter.requires_grad
    }
    for name in sorted(trained.keys() | saved.pieces.keys()):
        if trained.get(name, 0) != saved.numel(name):
            raise ValueError(f"{name} has {saved.numel(name)} elements there, {trained.get(name, 0)} here")


def _fill(engine: Any, ranks: Ranks, saved: SavedOptimizer) -> None:
    """This rank's flat tensors and their moments. torch's AdamW makes the moments in its first step; they are
    made here as it does."""
    flats = _own_flats(engine.optimizer)
    adamw = engine.optimizer.optimizer
    step = saved.flats[0][0].step
    for flat in flats:
        state = adamw.state[flat]
        # Where torch's fused AdamW keeps it; the other one reads it on the CPU.
        state["step"] = step.clone().to(flat.device if adamw.defaults["fused"] else "cpu")
        state.update({moment: torch.zeros_like(flat) for moment in MOMENTS})
    for name, piece in _own_pieces(engine, ranks):
        flat = flats[piece.group]
        for what, whole in (("weights", flat.data), *((m, adamw.state[flat][m]) for m in MOMENTS)):
            saved.copy(what, name, piece.start, whole.narrow(0, piece.offset, piece.length))


def _own_flats(optimizer: Any) -> Sequence[Tensor]:
    """The fp32 weights that this rank steps, one tensor a group."""
    for name in (
        "fp32_partitioned_groups_flat",  # ZeRO 3
        "single_partition_of_fp32_groups",  # 1 and 2
        "fp32_groups_flat_partition",  # 1 with bfloat16 weights
    ):
        if hasattr(optimizer, name):
            flats: Sequence[Tensor] = getattr(optimizer, name)
            return flats
    raise AssertionError(f"no ZeRO optimizer: {type(optimizer).__name__}")


def _own_pieces(engine: Any, ranks: Ranks) -> Iterator[tuple[str, Piece]]:
    """What of which parameter lies where in this rank's flat tensors."""
    names = {id(parameter): name for name, parameter in engine.module.named_parameters()}
    optimizer = engine.optimizer
    if engine.zero_optimization_stage() == 3:
        for group, parameters in enumerate(optimizer.fp16_groups):
            offset = 0
            for parameter in parameters:
                part = parameter.partition_numel()
                start = ranks.rank * part
                length = min(part, parameter.ds_numel - start)
                if length > 0:
                    yield names[id(parameter)], Piece(start, length, group, offset)
                offset += part
        return
    groups = optimizer.bf16_groups if hasattr(optimizer, "bf16_groups") else optimizer.bit16_groups
    for group, parameters in enumerate(groups):
        for parameter in parameters:
            place = parameter._hp_mapping  # None: other ranks have all of it
            if place is not None:
                here, there = place.lp_fragment_address, place.hp_fragment_address
                yield names[id(parameter)], Piece(here.start, here.numel, group, there.start)


def _fill_buffers(module: torch.nn.Module, saved: Any) -> None:
    buffers = dict(module.named_buffers())
    for name in saved["buffer_names"]:
        if name in saved["module"]:  # one that was tied to another name is written once
            buffers[name].copy_(saved["module"][name])


def _settle_weights(engine: Any) -> None:
    """The weights that the model computes with follow the fp32 ones, as after a step."""
    optimizer = engine.optimizer
    if engine.zero_optimization_stage() < 3:
        optimizer.update_lp_params()
        return
    pairs = zip(optimizer.fp16_partitioned_groups_flat, optimizer.fp32_partitioned_groups_flat, strict=True)
    for computed, stepped in pairs:
        computed.data.copy_(stepped.data)
    optimizer.checkpoint_event_epilogue()
