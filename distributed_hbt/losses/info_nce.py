"""InfoNCE over local rows and global columns, in blocks of columns.

    loss_i = -log( e^(s_i,t_i) / (e^(s_i,t_i) + sum_j e^(s_ij)) ),   s_ij = q_i . p_j / temperature

where t_i is row i's positive and j runs over the columns that count as its negatives (van den Oord et al.,
arXiv 1807.03748). The scores of a block exist only while it is worked on, in the forward and again in the
backward, so memory is linear in the global batch. Everything is accumulated in float32.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Columns:
    """How local rows relate to global columns.

    target_B: column of each row's positive. excluded_2E: (row, column) pairs that are no negatives
    although they are in the batch: known positives of the row. counts_N: columns that count as negatives
    at all; None for every column.
    """

    target_B: Tensor
    excluded_2E: Tensor
    counts_N: Tensor | None = None


def info_nce(
    query_BD: Tensor, passage_ND: Tensor, columns: Columns, *, temperature: float, block_size: int
) -> Tensor:
    """Loss of every local row, [B] float32. `block_size` columns are scored at once."""
    dtype = torch.promote_types(query_BD.dtype, torch.float32)
    loss_B: Tensor = _InfoNce.apply(  # type: ignore[no-untyped-call]
        query_BD.to(dtype), passage_ND.to(dtype), columns, temperature, block_size
    )
    return loss_B


class _InfoNce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query_BD: Tensor, passage_ND: Tensor, columns: Columns, temperature: float, block_size: int
    ) -> Tensor:
        positive_B = (query_BD * passage_ND[columns.target_B]).sum(1) / temperature
        total_B = positive_B.clone()
        for _, scores_Bn in _negative_blocks(query_BD, passage_ND, columns, temperature, block_size):
            total_B = torch.logaddexp(total_B, scores_Bn.logsumexp(1))
        ctx.save_for_backward(query_BD, passage_ND, positive_B, total_B)
        ctx.columns, ctx.temperature, ctx.block_size = columns, temperature, block_size
        return total_B - positive_B

    @staticmethod
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        query_BD, passage_ND, positive_B, total_B = ctx.saved_tensors
        target_B = ctx.columns.target_B
        scale_B = grad_B / ctx.temperature
        pull_B1 = (scale_B * ((positive_B - total_B).exp() - 1)).unsqueeze(1)
        grad_query_BD = pull_B1 * passage_ND[target_B]
        grad_passage_ND = torch.zeros_like(passage_ND).index_add_(0, target_B, pull_B1 * query_BD)
        blocks = _negative_blocks(query_BD, passage_ND, ctx.columns, ctx.temperature, ctx.block_size)
        for block, scores_Bn in blocks:
            push_Bn = (scores_Bn - total_B.unsqueeze(1)).exp_() * scale_B.unsqueeze(1)
            grad_query_BD.addmm_(push_Bn, passage_ND[block])
            grad_passage_ND[block].addmm_(push_Bn.T, query_BD)
        return grad_query_BD, grad_passage_ND, None, None, None


def _negative_blocks(
    query_BD: Tensor, passage_ND: Tensor, columns: Columns, temperature: float, block_size: int
) -> Iterator[tuple[slice, Tensor]]:
    """Scores block by block, -inf where a column is no negative of a row (its own positive included)."""
    rows_B = torch.arange(query_BD.shape[0], device=query_BD.device)
    left_out_2E = torch.cat([columns.excluded_2E, torch.stack([rows_B, columns.target_B])], dim=1)
    for first in range(0, passage_ND.shape[0], block_size):
        block = slice(first, min(first + block_size, passage_ND.shape[0]))
        scores_Bn = (query_BD @ passage_ND[block].T).div_(temperature)
        if columns.counts_N is not None:
            scores_Bn.masked_fill_(~columns.counts_N[block], -torch.inf)
        here_E = (left_out_2E[1] >= block.start) & (left_out_2E[1] < block.stop)
        scores_Bn[left_out_2E[0, here_E], left_out_2E[1, here_E] - block.start] = -torch.inf
        yield block, scores_Bn
