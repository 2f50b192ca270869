"""Token states moved onto a teacher's."""

from itertools import permutations

import pytest
import torch

from distributed_hbt.losses.embedding_distance import embedding_distance
from distributed_hbt.losses.optimal_transport import transport_cost


def states(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cost(student: torch.Tensor, teacher: torch.Tensor, **more: float) -> torch.Tensor:
    """Of texts without padding."""
    masks = (torch.ones(part.shape[:2], dtype=torch.int64) for part in (student, teacher))
    own, theirs = masks
    settings = {"regularisation": 0.1, "iterations": 50, **more}
    return transport_cost(
        student,
        own,
        teacher,
        theirs,
        regularisation=settings["regularisation"],
        iterations=int(settings["iterations"]),
    )


def test_cost_is_that_of_the_best_assignment() -> None:
    """Tokens compared place by place, or each with its nearest, so that several take one. With as many tokens
    on both sides the best plan is an assignment, and little entropy comes close to it."""
    student_BLD, teacher_BMD = states(3, 5, 8), states(3, 5, 8, seed=1)
    for i, found in enumerate(cost(student_BLD, teacher_BMD, regularisation=0.01, iterations=2000)):
        cosine_LM = torch.nn.functional.cosine_similarity(
            student_BLD[i][:, None], teacher_BMD[i][None], dim=2
        )
        best = min(sum(1 - cosine_LM[j, p[j]] for j in range(5)) / 5 for p in permutations(range(5)))
        assert found == pytest.approx(float(best), abs=2e-3)


def test_same_words_in_another_order_cost_nothing() -> None:
    """A translation with another word order pushed towards that of the teacher."""
    teacher_BMD = states(1, 6, 16)
    shuffled_BLD = 3 * teacher_BMD[:, [4, 0, 5, 2, 1, 3]]
    assert float(cost(shuffled_BLD, teacher_BMD, regularisation=0.02)) == pytest.approx(0, abs=1e-4)
    assert float(cost(-shuffled_BLD, teacher_BMD)) > 0.5


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side: str) -> None:
    """Padding that takes a share of a text, whatever stands in it."""
    student_BLD, teacher_BMD = states(1, 4, 8), states(1, 3, 8, seed=1)
    expected = cost(student_BLD, teacher_BMD)
    pads = (2, 0) if side == "left" else (0, 2)

    def padded(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = torch.nn.functional.pad(torch.ones(1, part.shape[1], dtype=torch.int64), pads)
        return torch.nn.functional.pad(part, (0, 0, *pads), value=1e3), mask

    own, own_mask = padded(student_BLD)
    theirs, their_mask = padded(teacher_BMD)
    found = transport_cost(own, own_mask, theirs, their_mask, regularisation=0.1, iterations=50)
    torch.testing.assert_close(found, expected)


def test_gradient_is_that_of_the_cost_under_the_plan() -> None:
    """Gradient through fifty iterations, which is long and at the optimum adds nothing: moving a token costs
    what the converged plan says (Danskin), up to the entropy that the cost leaves out."""
    student_BLD, teacher_BMD = states(1, 4, 8).double().requires_grad_(), states(1, 5, 8, seed=1).double()

    def free_energy(student: torch.Tensor) -> torch.Tensor:
        normal = torch.nn.functional.normalize
        kernel = ((normal(student, dim=2) @ normal(teacher_BMD, dim=2).mT - 1) / 0.3)[0].exp()
        row, column = torch.ones(4).double(), torch.ones(5).double()
        for _ in range(500):
            row = 1 / 4 / (kernel @ column)
            column = 1 / 5 / (row @ kernel)
        plan = row[:, None] * kernel * column
        return (plan * -kernel.log() * 0.3).sum() + 0.3 * (plan * plan.log()).sum()

    cost(student_BLD, teacher_BMD, regularisation=0.3, iterations=500).sum().backward()
    expected = torch.autograd.functional.jacobian(free_energy, student_BLD.detach())
    torch.testing.assert_close(student_BLD.grad, expected, rtol=1e-6, atol=1e-9)


def test_a_teacher_has_no_gradient_of_its_own_and_bfloat16_is_summed_in_float32() -> None:
    """A plan from eight bits."""
    student_BLD, teacher_BMD = states(2, 4, 8).bfloat16(), states(2, 3, 8, seed=1).bfloat16()
    found = cost(student_BLD, teacher_BMD)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, cost(student_BLD.float(), teacher_BMD.float()))


def test_embedding_distance_is_the_squared_one() -> None:
    """A mean over dimensions, which makes a wide teacher a quiet one."""
    student_SD = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    teacher_SD = torch.tensor([[0.0, 1.0], [0.6, 0.8]])
    assert embedding_distance(student_SD, teacher_SD).tolist() == [2.0, 0.0]
