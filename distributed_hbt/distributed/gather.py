"""The one differentiable gather of the project.

Forward: all-gather. Backward: reduce-scatter with SUM, so that a local row's gradient counts what every
rank's loss says of it. Together with an optimizer that averages gradients over ranks this is the gradient
of the mean loss over the global batch; no factor of the world size belongs anywhere.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

# torch 2.13 renamed both collectives; the older names warn there, the newer do not exist before.
_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor


def gather(local_ND: Tensor, counts: Sequence[int]) -> Tensor:
    """Rows of all ranks, in rank order, differentiable.

    `counts[r]` is the number of rows of rank r; every rank knows all of them (they follow from the batch
    plan), so sizes are not exchanged. [counts[rank], D] -> [sum(counts), D].
    """
    if len(counts) == 1:
        return local_ND
    gathered: Tensor = _Gather.apply(local_ND, tuple(counts))  # type: ignore[no-untyped-call]
    return gathered


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local_ND: Tensor, counts: tuple[int, ...]) -> Tensor:
        assert local_ND.shape[0] == counts[dist.get_rank()], "the plan and this rank's rows disagree"
        ctx.counts = counts
        padded_MD = local_ND.new_zeros(max(counts), local_ND.shape[1])
        padded_MD[: local_ND.shape[0]] = local_ND
        all_TD = local_ND.new_empty(len(counts) * max(counts), local_ND.shape[1])
        _all_gather(all_TD, padded_MD)
        blocks = torch.split(all_TD, max(counts))
        return torch.cat([block_MD[:n] for block_MD, n in zip(blocks, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad_ND: Tensor) -> tuple[Tensor, None]:
        counts = ctx.counts
        all_TD = grad_ND.new_zeros(len(counts) * max(counts), grad_ND.shape[1])
        blocks, rows_by_rank = torch.split(all_TD, max(counts)), torch.split(grad_ND, list(counts))
        for block_MD, rows in zip(blocks, rows_by_rank, strict=True):
            block_MD[: rows.shape[0]] = rows
        summed_MD = torch.empty_like(all_TD[: max(counts)])
        _reduce_scatter(summed_MD, all_TD, op=dist.ReduceOp.SUM)
        return summed_MD[: counts[dist.get_rank()]].clone(), None
