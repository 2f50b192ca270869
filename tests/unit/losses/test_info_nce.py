"""info_nce against torch's cross entropy over the whole masked score matrix, and literal values."""

import math
from dataclasses import dataclass

import pytest
import torch

from distributed_hbt.losses.info_nce import ColumnBlocks, Columns, info_nce
from distributed_hbt.losses.objective import GlobalEmbeddings, Objective, contrastive_loss

NONE_2E = torch.empty(2, 0, dtype=torch.int64)


@dataclass
class Relations:
    """As the objective asks for them."""

    passages: ColumnBlocks
    queries: ColumnBlocks | None = None
    own_BP: torch.Tensor = NONE_2E
    score_BP: torch.Tensor = NONE_2E


def tensors(rows: int = 5, columns: int = 11, dimension: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    query_BD = torch.randn(rows, dimension, dtype=torch.float64, generator=generator, requires_grad=True)
    passage_ND = torch.randn(columns, dimension, dtype=torch.float64, generator=generator, requires_grad=True)
    return query_BD, passage_ND


def whole_matrix(
    query_BD: torch.Tensor, passage_ND: torch.Tensor, columns: Columns, temperature: float
) -> torch.Tensor:
    scores_BN = query_BD @ passage_ND.T / temperature
    masked_BN = torch.zeros_like(scores_BN, dtype=torch.bool)
    masked_BN[columns.excluded_2E[0], columns.excluded_2E[1]] = True
    if columns.counts_N is not None:
        masked_BN |= ~columns.counts_N
    masked_BN[torch.arange(len(query_BD)), columns.target_B] = False
    scores_BN = scores_BN.masked_fill(masked_BN, -math.inf)
    return torch.nn.functional.cross_entropy(scores_BN, columns.target_B, reduction="none")


@pytest.mark.parametrize("block_size", [1, 3, 4, 11, 100])
@pytest.mark.parametrize("hard_only", [False, True])
def test_loss_and_gradients_equal_the_whole_matrix(block_size: int, hard_only: bool) -> None:
    """A block whose scores are lost, counted twice, or whose mask is shifted by the block's start."""
    query_BD, passage_ND = tensors()
    columns = Columns(
        target_B=torch.tensor([3, 1, 4, 0, 7]),
        excluded_2E=torch.tensor([[0, 0, 2, 4], [5, 9, 1, 10]]),
        counts_N=torch.arange(11) >= 5 if hard_only else None,
    )
    weight_B = torch.arange(1.0, 6.0, dtype=torch.float64)
    mine_B = info_nce(query_BD, passage_ND, columns.in_blocks(block_size, 11), temperature=0.3)
    other_B = whole_matrix(query_BD, passage_ND, columns, 0.3)
    torch.testing.assert_close(mine_B, other_B, rtol=1e-12, atol=1e-12)
    mine = torch.autograd.grad((mine_B * weight_B).sum(), (query_BD, passage_ND))
    other = torch.autograd.grad((other_B * weight_B).sum(), (query_BD, passage_ND))
    torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-11)


def test_literal_value() -> None:
    """A temperature that multiplies instead of divides, or a logarithm of another base."""
    query_BD = torch.tensor([[1.0, 0.0]])
    passage_ND = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    columns = Columns(torch.tensor([0]), NONE_2E).in_blocks(8, 2)
    loss_B = info_nce(query_BD, passage_ND, columns, temperature=0.5)
    assert loss_B.item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-7)


def test_excluded_column_changes_nothing_by_its_value() -> None:
    """A known positive that still pushes its row away."""
    query_BD, passage_ND = tensors()
    columns = Columns(torch.tensor([0, 1, 2, 3, 4]), torch.tensor([[0], [7]]))
    loss_B = info_nce(query_BD, passage_ND, columns.in_blocks(4, 11), temperature=0.3)
    (grad_ND,) = torch.autograd.grad(loss_B[0], passage_ND)
    assert grad_ND[7].abs().max() == 0
    assert grad_ND[8].abs().max() > 0


def test_bfloat16_embeddings_are_accumulated_in_float32() -> None:
    """Sums of exponentials in bfloat16, off by percents over thousands of columns."""
    generator = torch.Generator().manual_seed(2)
    query_BD = torch.randn(4, 16, generator=generator).bfloat16()
    passage_ND = torch.randn(4096, 16, generator=generator).bfloat16()
    columns = Columns(torch.arange(4), NONE_2E)
    loss_B = info_nce(query_BD, passage_ND, columns.in_blocks(512, 4096), temperature=1.0)
    exact_B = whole_matrix(query_BD.double(), passage_ND.double(), columns, 1.0)
    assert loss_B.dtype == torch.float32
    torch.testing.assert_close(loss_B.double(), exact_B, rtol=1e-5, atol=1e-5)


def objective(*, symmetric: bool = False, dimensions: tuple[int, ...] = ()) -> Objective:
    return Objective(temperature=0.3, symmetric=symmetric, dimensions=dimensions, normalize=True)


def test_symmetric_loss_is_the_mean_of_both_directions() -> None:
    """The passage-to-query direction left out, or added without halving."""
    query_BD, passage_ND = (t.detach() for t in tensors(rows=4, columns=4))
    diagonal = Columns(torch.arange(4), NONE_2E)
    blocks = diagonal.in_blocks(4, 4)
    embeddings = GlobalEmbeddings(query_BD, passage_ND, query_BD)
    loss = contrastive_loss(embeddings, Relations(blocks, blocks), objective(symmetric=True))
    there = whole_matrix(query_BD, passage_ND, diagonal, 0.3).mean()
    back = whole_matrix(passage_ND, query_BD, diagonal, 0.3).mean()
    torch.testing.assert_close(loss, (there + back) / 2)


def test_matryoshka_adds_the_loss_of_each_normalised_prefix() -> None:
    """Prefixes that are not scaled to unit length again, or the full length counted twice."""
    query_BD, passage_ND = (torch.nn.functional.normalize(t.detach(), dim=1) for t in tensors(4, 4))
    diagonal = Columns(torch.arange(4), NONE_2E)
    embeddings = GlobalEmbeddings(query_BD, passage_ND, None)
    loss = contrastive_loss(embeddings, Relations(diagonal.in_blocks(4, 4)), objective(dimensions=(2, 8)))
    prefix = [torch.nn.functional.normalize(t[:, :2], dim=1) for t in (query_BD, passage_ND)]
    expected = whole_matrix(query_BD, passage_ND, diagonal, 0.3).mean()
    expected = expected + whole_matrix(*prefix, diagonal, 0.3).mean()
    torch.testing.assert_close(loss, expected)
