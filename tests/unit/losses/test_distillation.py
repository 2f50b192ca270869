"""distillation against torch's own divergence, and rows that can not be distilled."""

import math

import pytest
import torch
import torch.nn.functional as F

from distributed_hbt.losses.distillation import distillation

NAN = math.nan


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    query_BD = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    passage_ND = torch.randn(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    return query_BD, passage_ND


def test_divergence_and_gradients_equal_torch_s_row_by_row() -> None:
    """A teacher that is not normalised over the row's own passages, a temperature on the wrong side."""
    query_BD, passage_ND = tensors()
    own_BP = torch.tensor([[2, 0, 5], [1, 3, -1], [4, 2, 1]])
    score_BP = torch.tensor([[3.0, -1.0, 0.5], [2.0, 1.0, NAN], [0.0, NAN, 4.0]])
    mine_B = distillation(query_BD, passage_ND, own_BP, score_BP, temperature=0.5, teacher_temperature=2.0)
    others = []
    for i, chosen in enumerate(([0, 1, 2], [0, 1], [0, 2])):
        student = (passage_ND[own_BP[i, chosen]] @ query_BD[i]) / 0.5
        teacher = score_BP[i, chosen].double() / 2.0
        others.append(F.kl_div(student.log_softmax(0), teacher.softmax(0), reduction="sum"))
    other_B = torch.stack(others)
    torch.testing.assert_close(mine_B, other_B)
    weight_B = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    mine = torch.autograd.grad((mine_B * weight_B).sum(), (query_BD, passage_ND))
    other = torch.autograd.grad((other_B * weight_B).sum(), (query_BD, passage_ND))
    torch.testing.assert_close(mine, other)


def test_row_without_two_scores_adds_nothing() -> None:
    """NaN from a row without scores, in the loss or the gradient; a lone score that pulls."""
    query_BD, passage_ND = tensors()
    own_BP = torch.tensor([[2, 0], [1, -1], [4, 2]])
    score_BP = torch.tensor([[NAN, NAN], [2.0, NAN], [NAN, 4.0]])
    loss_B = distillation(query_BD, passage_ND, own_BP, score_BP, temperature=0.5, teacher_temperature=1.0)
    assert loss_B.tolist() == [0.0, 0.0, 0.0]
    grads = torch.autograd.grad(loss_B.sum(), (query_BD, passage_ND))
    assert all(bool((grad == 0).all()) for grad in grads)


def test_student_that_agrees_has_no_divergence() -> None:
    """A divergence with an offset, or of the other direction."""
    query_BD = torch.tensor([[1.0, 0.0]])
    passage_ND = torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    own_BP = torch.tensor([[0, 1]])
    loss_B = distillation(
        query_BD, passage_ND, own_BP, torch.tensor([[3.0, 1.0]]), temperature=1.0, teacher_temperature=1.0
    )
    assert loss_B.item() == pytest.approx(0.0, abs=1e-7)
    p, q = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-2))
    expected = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    loss_B = distillation(
        query_BD, passage_ND, own_BP, torch.tensor([[2.0, 1.0]]), temperature=1.0, teacher_temperature=1.0
    )
    assert loss_B.item() == pytest.approx(expected, abs=1e-6)
