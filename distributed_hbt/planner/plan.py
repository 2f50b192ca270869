"""The whole plan of a run on a cluster."""

from dataclasses import dataclass

from distributed_hbt.planner.checkpoint import CheckpointPlan, checkpoint_of
from distributed_hbt.planner.evaluation_time import EvaluationTime, evaluation_time_of
from distributed_hbt.planner.memory import Memory, memory_of
from distributed_hbt.planner.setting import Setting
from distributed_hbt.planner.step_time import StepTime, step_time_of


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run will take. Times in seconds, memory in bytes, of one rank unless it is said."""

    setting: Setting
    memory: Memory
    step: StepTime
    checkpoint: CheckpointPlan
    evaluation: EvaluationTime

    @property
    def tokens_per_second(self) -> float:
        """Real tokens, of all ranks."""
        return self.setting.workload.real_tokens * self.setting.world_size / self.step.total

    @property
    def mfu(self) -> float:
        """Of real tokens, nothing computed twice."""
        return self.step.useful_flops / self.step.total / self.setting.peak_flops

    @property
    def hours(self) -> float:
        """Of the training: all steps, checkpoints, and what failures cost."""
        steps = self.setting.config.train.max_steps * self.step.total
        return steps / (1 - min(self.checkpoint.lost_share, 0.99)) / 3600

    @property
    def gpu_hours(self) -> float:
        return self.hours * self.setting.world_size * max(self.setting.config.cluster.gpus_per_worker, 1)

    @property
    def cost(self) -> float | None:
        price = self.setting.cluster.price_per_gpu_hour
        return None if price is None else price * self.gpu_hours


def plan_of(setting: Setting) -> Plan:
    """Everything, from what the setting says."""
    step = step_time_of(setting)
    return Plan(
        setting=setting,
        memory=memory_of(setting),
        step=step,
        checkpoint=checkpoint_of(setting, step.total),
        evaluation=evaluation_time_of(setting),
    )
