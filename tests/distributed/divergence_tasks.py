"""What ranks do when a bit of a weight is turned on one of them."""

from typing import Any

import torch
import torch.distributed as dist

from distributed_hbt.errors import WorkerFailed
from distributed_hbt.train.guards.divergence import RankComparison
from tests.distributed.rank_tasks import trainer


def found_after_a_flip(run_file: str, overrides: list[str], flips: dict[int, str]) -> list[str]:
    """What the comparison says after two steps, and after a bit of a weight is turned: `flips` has, by rank,
    a part of the parameter's name."""
    made = trainer(run_file, overrides)
    comparison = RankComparison(made.session, made.engine, every=1)
    for step in range(2):
        made.step(made.inputs.make(step))
    said = [_said(comparison)]
    for name, parameter in made.engine.module.named_parameters():
        wanted = flips.get(dist.get_rank())
        if wanted is not None and wanted in name:
            _flip(parameter)
    said.append(_said(comparison))
    made.engine.destroy()
    return said


def _flip(parameter: Any) -> None:
    """The lowest bit of the last value."""
    content = parameter.data.view(-1).view(torch.uint8)
    content[-parameter.element_size()] ^= 1


def _said(comparison: RankComparison) -> str:
    try:
        comparison.check(2)
    except WorkerFailed as error:
        return str(error)
    return ""
