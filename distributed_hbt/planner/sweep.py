"""One run at many world sizes and ZeRO stages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed_hbt.config.load import with_overrides
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.planner.memory import GIB
from distributed_hbt.planner.plan import Plan, plan_of
from distributed_hbt.planner.render import duration, gib, table
from distributed_hbt.planner.setting import SettingBuilder
from distributed_hbt.train.zero import default_file

STAGES = (0, 1, 2, 3)
TIMES = 8
"""World sizes go up to so many times the GPUs of the cluster, whose nodes are added to."""


def sweep(builder: SettingBuilder, config: RunConfig) -> list[Plan]:
    """By world size, doubled from 1, then by stage; sizes that do not divide the batch are left out.

    Raises ConfigError where there is none.
    """
    plans = [
        plan_of(builder.with_room(ranks, config.cluster.gpus_per_worker).of(_at(config, ranks, stage)))
        for ranks in _world_sizes(builder, config)
        for stage in STAGES
    ]
    if not plans:
        what = f"no world size divides {config.train.global_batch_size}"
        raise ConfigError("train.global_batch_size", what, "choose a multiple of the number of GPUs")
    return plans


def sweep_as_text(plans: list[Plan]) -> str:
    """A line a plan."""
    header = ("ranks, ZeRO", "GiB a GPU", "", "s a step", "tokens/s", "MFU", "run", "GPU-hours", "cost")
    return table(header, [_row(plan) for plan in plans])


def sweep_as_json(plans: list[Plan]) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {
            "ranks": plan.setting.world_size,
            "zero_stage": plan.setting.sharding.stage,
            "gib": plan.memory.peak.total / GIB,
            "fits": plan.memory.fits,
            "step_seconds": plan.step.total,
            "tokens_per_second": plan.tokens_per_second,
            "mfu": plan.mfu,
            "hours": plan.hours,
            "gpu_hours": plan.gpu_hours,
            "cost": plan.cost,
        }
        for plan in plans
    ]


def _world_sizes(builder: SettingBuilder, config: RunConfig) -> Iterator[int]:
    ranks = 1
    while ranks <= TIMES * builder.cluster.gpus:
        if config.train.global_batch_size % ranks == 0:
            yield ranks
        ranks *= 2


def _at(config: RunConfig, ranks: int, stage: int) -> RunConfig:
    file = Path(default_file()).with_name(f"zero{stage}.json")
    bounds = ("cluster.min_workers=null", "cluster.max_workers=null")
    return with_overrides(config, [f"cluster.num_workers={ranks}", *bounds, f"train.deepspeed={file}"])


def _row(plan: Plan) -> tuple[str, ...]:
    return (
        f"{plan.setting.world_size:>4}, {plan.setting.sharding.stage}",
        gib(plan.memory.peak.total),
        "fits" if plan.memory.fits else "too much",
        f"{plan.step.total:.3g}",
        f"{plan.tokens_per_second:,.0f}",
        f"{plan.mfu:.1%}",
        duration(3600 * plan.hours),
        f"{plan.gpu_hours:,.1f}",
        "" if plan.cost is None else f"{plan.cost:,.0f}",
    )
