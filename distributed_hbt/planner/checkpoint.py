"""How large a checkpoint is, how long it takes, how often it should be written."""

import math
from dataclasses import dataclass

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.planner.parameters import ParameterCounts
from distributed_hbt.planner.setting import Setting, bytes_per_weight

MTTF_HOURS = 50_000.0
"""Of one GPU and its share of a node: 419 unexpected interruptions in 54 days on 16,384 H100 (Llama 3, arXiv
2407.21783, section 3.3.4)."""


@dataclass(frozen=True)
class CheckpointPlan:
    """Bytes, seconds and steps. `best_steps` is the interval that loses least time; `lost_share` the share of
    the time that goes into writing, and into work done again after failures, at the run's interval."""

    size: int
    seconds: float
    mttf_seconds: float
    best_seconds: float
    best_steps: int
    steps: int
    failures: float
    lost_share: float


def checkpoint_of(setting: Setting, step_seconds: float) -> CheckpointPlan:
    """Young's interval, sqrt(2 * cost * MTTF) (CACM 17(9), 1974). Writing blocks the training."""
    cluster, every = setting.cluster, setting.config.train.checkpoint_every
    size = checkpoint_bytes(setting.parameters, setting.config.model, stage=setting.sharding.stage)
    seconds = size / (1e9 * cluster.storage_gb_per_second * cluster.assumptions.bandwidth)
    ranks = setting.world_size * max(setting.config.cluster.gpus_per_worker, 1)
    mttf = 3600 * (cluster.mttf_hours or MTTF_HOURS) / ranks
    best = math.sqrt(2 * seconds * mttf)
    period = every * step_seconds + seconds
    again = period / 2 + cluster.assumptions.restart_seconds
    return CheckpointPlan(
        size=size,
        seconds=seconds,
        mttf_seconds=mttf,
        best_seconds=best,
        best_steps=max(1, round(best / step_seconds)),
        steps=every,
        failures=setting.config.train.max_steps / every * period / mttf,
        lost_share=seconds / period + again / mttf,
    )


def checkpoint_bytes(parameters: ParameterCounts, model: ModelConfig, *, stage: int) -> int:
    """The engine's state (weights, AdamW, its float32 copy) and the encoder that is exported beside it. With
    adapters the frozen weights are left out of both."""
    b = bytes_per_weight(model)
    saved = parameters.trained if model.lora is not None else parameters.held
    masters = stage > 0 or b == 2
    return (12 if masters else 8) * parameters.trained + 2 * b * saved
