"""The learning rate, step by step."""

import pytest

from distributed_hbt.config.train import TrainConfig
from distributed_hbt.train.schedule import learning_rate


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.5, 1.0, 1.0, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1.0, 1.0, 0.8535533905932737, 0.5, 0.14644660940672627]),
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_warm_up_then_decay(schedule: str, expected: list[float]) -> None:
    """A warm-up that starts at zero (a wasted first step) or a decay that ends before the last step."""
    train = TrainConfig.model_validate(
        {"max_steps": 6, "warmup_steps": 2, "learning_rate": 1.0, "schedule": schedule}
    )
    assert [learning_rate(train, step) for step in range(6)] == pytest.approx(expected)
