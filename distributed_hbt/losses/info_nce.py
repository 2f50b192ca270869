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


@dataclass(frozen=True, eq=False)
class Columns:
    """How local rows relate to global columns; on the CPU.

    target_B: column of each row's positive. excluded_2E: (row, column) pairs that are no negatives
    although they are in the batch: known positives of the row. counts_N: columns that count as negatives
    at all; None for every column.
    """

    target_B: Tensor
    excluded_2E: Tensor
    counts_N: Tensor | None = None

    def in_blocks(self, block_size: int, num_columns: int) -> "ColumnBlocks":
        """Cut into blocks of `block_size` columns. Here and not in the loss: how many pairs a block has is
        the host's to know, and a GPU would have to be waited for."""
        rows_B = torch.arange(len(self.target_B))
        left_out_2E = torch.cat([self.excluded_2E, torch.stack([rows_B, self.target_B])], dim=1)
        left_out_2E = left_out_2E[:, left_out_2E[1].argsort()]
        starts = torch.arange(0, num_columns, block_size)
        edges = [*torch.searchsorted(left_out_2E[1].contiguous(), starts).tolist(), left_out_2E.shape[1]]
        blocks = tuple(
            ColumnBlock(
                slice(start, min(start + block_size, num_columns)),
                left_out_2E[0, first:last],
                left_out_2E[1, first:last] - start,
            )
            for start, first, last in zip(starts.tolist(), edges, edges[1:], strict=False)
        )
        return ColumnBlocks(self.target_B, blocks, self.counts_N)


@dataclass(frozen=True, eq=False)
class ColumnBlock:
    """The columns `where`. row_E and column_E, counted from the block's first, are no negatives."""

    where: slice
    row_E: Tensor
    column_E: Tensor


@dataclass(frozen=True, eq=False)
class ColumnBlocks:
    """Columns as the loss takes them, on its device."""

    target_B: Tensor
    blocks: tuple[ColumnBlock, ...]
    counts_N: Tensor | None

    def tensors(self) -> Iterator[Tensor]:
        """All of them."""
        yield self.target_B
        for block in self.blocks:
            yield from (block.row_E, block.column_E)
        if self.counts_N is not None:
            yield self.counts_N

    def to(self, device: torch.device) -> "ColumnBlocks":
        """Copied without waiting, where that can be."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor

        return ColumnBlocks(
            moved(self.target_B),
            tuple(ColumnBlock(b.where, moved(b.row_E), moved(b.column_E)) for b in self.blocks),
            None if self.counts_N is None else moved(self.counts_N),
        )


def info_nce(query_BD: Tensor, passage_ND: Tensor, columns: ColumnBlocks, *, temperature: float) -> Tensor:
    """Loss of every local row, [B] float32."""
    dtype = torch.promote_types(query_BD.dtype, torch.float32)
    loss_B: Tensor = _InfoNce.apply(  # type: ignore[no-untyped-call]
        query_BD.to(dtype), passage_ND.to(dtype), columns, temperature
    )
    return loss_B


class _InfoNce(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query_BD: Tensor, passage_ND: Tensor, columns: ColumnBlocks, temperature: float
    ) -> Tensor:
        positive_B = (query_BD * passage_ND[columns.target_B]).sum(1) / temperature
        total_B = positive_B.clone()
        for _, scores_Bn in _negative_blocks(query_BD, passage_ND, columns, temperature):
            total_B = torch.logaddexp(total_B, scores_Bn.logsumexp(1))
        ctx.save_for_backward(query_BD, passage_ND, positive_B, total_B)
        ctx.columns, ctx.temperature = columns, temperature
        return total_B - positive_B

    @staticmethod
    def backward(ctx: Any, grad_B: Tensor) -> tuple[Tensor, Tensor, None, None]:
        query_BD, passage_ND, positive_B, total_B = ctx.saved_tensors
        target_B = ctx.columns.target_B
        scale_B = grad_B / ctx.temperature
        pull_B1 = (scale_B * ((positive_B - total_B).exp() - 1)).unsqueeze(1)
        grad_query_BD = pull_B1 * passage_ND[target_B]
        grad_passage_ND = torch.zeros_like(passage_ND).index_add_(0, target_B, pull_B1 * query_BD)
        blocks = _negative_blocks(query_BD, passage_ND, ctx.columns, ctx.temperature)
        for block, scores_Bn in blocks:
            push_Bn = (scores_Bn - total_B.unsqueeze(1)).exp_() * scale_B.unsqueeze(1)
            grad_query_BD.addmm_(push_Bn, passage_ND[block])
            grad_passage_ND[block].addmm_(push_Bn.T, query_BD)
        return grad_query_BD, grad_passage_ND, None, None


def _negative_blocks(
    query_BD: Tensor, passage_ND: Tensor, columns: ColumnBlocks, temperature: float
) -> Iterator[tuple[slice, Tensor]]:
    """Scores block by block, -inf where a column is no negative of a row (its own positive included)."""
    for block in columns.blocks:
        scores_Bn = (query_BD @ passage_ND[block.where].T).div_(temperature)
        if columns.counts_N is not None:
            scores_Bn.masked_fill_(~columns.counts_N[block.where], -torch.inf)
        scores_Bn[block.row_E, block.column_E] = -torch.inf
        yield block.where, scores_Bn
