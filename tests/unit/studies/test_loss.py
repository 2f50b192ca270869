"""The loss that a run ended with."""

import math

import pytest

from distributed_hbt.comparison.comparison import TrainingLog
from distributed_hbt.studies.loss import final_loss


def log(losses: list[float | None], negatives: int) -> TrainingLog:
    count = len(losses)
    return TrainingLog(
        run="r",
        system="s",
        steps=tuple(range(1, count + 1)),
        loss=tuple(losses),
        tokens_per_second=(None,) * count,
        kinds={},
        languages={},
        num_negatives=(negatives,) * count,
    )


def test_the_final_loss_is_the_mean_of_the_last_tenth() -> None:
    """The first steps, or a step without a loss, in the mean."""
    found = log([9.0] * 18 + [2.0, 4.0], 63)
    assert final_loss(found) == pytest.approx((3.0, 3.0 / math.log(64)))
    assert final_loss(log([9.0] * 18 + [2.0, None], 63))[0] == 2.0
    assert final_loss(log([5.0, 7.0], 63))[0] == 7.0
    assert final_loss(log([5.0, 7.0, None], 63))[0] == 7.0


def test_guessing_is_1_whatever_the_batch() -> None:
    """Losses of batches of 16 and 256 that look as if the larger batch were worse."""
    for batch in (16, 256):
        assert final_loss(log([math.log(batch)] * 10, batch - 1))[1] == pytest.approx(1.0)
