"""What ranks do when a loss or a gradient that is not finite is planted on one of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor

from distributed_hbt.config.load import load_run
from distributed_hbt.distributed.process_group import ranks_from_environment
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.run_directory import check_run_directory, write_config
from distributed_hbt.train import step as step_module
from distributed_hbt.train.inputs import StepInputs
from distributed_hbt.train.loop import StepRecord, Trainer
from distributed_hbt.train.prepared import prepare
from distributed_hbt.train.worker import train
from tests.distributed.rank_tasks import trainer

PLANTS = ("embedding", "gradient", "loss alone")


def skipped_steps(run_file: str, overrides: list[str]) -> dict[str, Any]:
    """Two steps, one with each plant on the last rank, one more; and the same without those in between.

    Gives the records, what differs of the state before and after the planted steps, and of the two ends.
    """
    made = trainer(run_file, overrides)
    records = [made.step(made.inputs.make(step))[0] for step in (0, 1)]
    before = _state(made)
    differing = []
    for step, plant in enumerate(PLANTS, start=2):
        with _planted(made, plant):
            records.append(made.step(made.inputs.make(step))[0])
        differing.append(_differing(before, _state(made)))
    records.append(made.step(made.inputs.make(5))[0])
    end = _state(made)
    made.engine.destroy()
    again = trainer(run_file, overrides)
    alone = [again.step(again.inputs.make(step))[0] for step in (0, 1, 5)]
    end_alone = _state(again)
    again.engine.destroy()
    return {
        "skipped": [record.skipped for record in records],
        "figures": [_figures(record) for record in records],
        "alone": [_figures(record) for record in alone],
        "differing": differing,
        "ends": _differing(end, end_alone),
        "learnt": _differing(before, end),
    }


def _figures(record: StepRecord) -> tuple[float, float]:
    return record.loss, record.grad_norm


@contextmanager
def _planted(made: Trainer, plant: str) -> Iterator[None]:
    """On the last rank alone."""
    if dist.get_rank() < dist.get_world_size() - 1:
        yield
        return
    if plant == "loss alone":
        true_loss = step_module.rank_loss

        def not_a_number(*arguments: Any) -> Tensor:
            return true_loss(*arguments) + float("nan")

        with mock.patch.object(step_module, "rank_loss", not_a_number):
            yield
        return

    def spoiled(_module: Any, _given: Any, embedding_BD: Tensor) -> Tensor:
        if plant == "embedding":
            return (
                embedding_BD * torch.where(torch.arange(len(embedding_BD)) == 0, float("inf"), 1.0)[:, None]
            )
        if embedding_BD.requires_grad:
            embedding_BD.register_hook(lambda gradient: gradient * float("inf"))
        return embedding_BD

    hook = made.engine.module.encoder.register_forward_hook(spoiled)
    yield
    hook.remove()


def _state(made: Trainer) -> dict[str, Tensor]:
    """Every weight of this rank, as stepped with and as encoded with, and the optimizer's state."""
    optimizer = made.engine.optimizer
    while hasattr(optimizer, "optimizer"):
        optimizer = optimizer.optimizer
    found = {
        f"weight {name}": getattr(parameter, "ds_tensor", parameter)
        for name, parameter in made.engine.module.named_parameters()
    }
    flat = getattr(made.engine.optimizer, "fp32_partitioned_groups_flat", None)
    masters = flat if flat is not None else [p for g in optimizer.param_groups for p in g["params"]]
    found |= {f"master {i}": master for i, master in enumerate(masters)}
    for i, state in enumerate(optimizer.state.values()):
        found |= {f"optimizer {i} {name}": value for name, value in state.items()}
    return {name: value.detach().clone() for name, value in found.items()}


def _differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    return sorted(
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or not torch.equal(one[name], other[name])
    )


def trained_with_bad_steps(run_file: str, overrides: list[str], bad: list[int]) -> tuple[str, list[str]]:
    """The worker itself, with a loss that is not a number on the last rank in the steps `bad`, from 0: what
    it ended with, and the lines of its log."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    config = load_run(Path(run_file), overrides)
    directory, ranks = check_run_directory(config), ranks_from_environment()
    if ranks.is_first:
        write_config(directory, config)
    true_loss, lines = step_module.rank_loss, list[str]()

    def bad_loss(embedding_SD: Tensor, inputs: StepInputs, *rest: Any) -> Tensor:
        loss = true_loss(embedding_SD, inputs, *rest)
        spoilt = ranks.rank == ranks.world_size - 1 and inputs.batch.step in bad
        return loss * float("nan") if spoilt else loss

    def log_from(steps_done: int) -> Callable[[StepRecord], None]:
        return lambda record: lines.append(f"{record.step}{' skipped' if record.skipped else ''}")

    with mock.patch.object(step_module, "rank_loss", bad_loss):
        try:
            train(config, ranks, directory, prepare(config), log_from=log_from)
        except WorkerFailed as error:
            return str(error), lines
    return "", lines
