"""The learning rate as a pure function of the step."""

import math

from distributed_hbt.config.train import TrainConfig


def learning_rate(train: TrainConfig, step: int) -> float:
    """Rate of step `step`, counted from 0: linear warm-up, then linear, cosine or constant."""
    if step < train.warmup_steps:
        return train.learning_rate * (step + 1) / train.warmup_steps
    if train.schedule == "constant":
        return train.learning_rate
    done = (step - train.warmup_steps) / max(1, train.max_steps - train.warmup_steps)
    share = 1 - done if train.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return train.learning_rate * share
