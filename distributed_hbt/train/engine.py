"""From a model to a DeepSpeed engine, through one Accelerator, with the silent traps asserted away."""

import os
import warnings
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import distributed_c10d

from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.train import TrainConfig
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.train.chunked import ChunkedEncoder
from distributed_hbt.train.deepspeed_import import import_deepspeed
from distributed_hbt.train.zero import engine_config, offloads_optimizer, read_zero


@dataclass(frozen=True)
class Session:
    """The process group and the Accelerator of this process."""

    ranks: Ranks
    accelerator: Any
    plugin: Any
    stage: int
    collective_limit: timedelta
    offloads_optimizer: bool = False

    @property
    def device(self) -> torch.device:
        device: torch.device = self.accelerator.device
        return device

    def before_building(self, *, pretrained: bool) -> None:
        """Call before a model is built. Under ZeRO-3 transformers partitions pretrained weights as it loads
        them; random weights are drawn whole on every rank, so that they are the same for every world size."""
        from transformers.integrations import unset_hf_deepspeed_config

        if not pretrained:
            unset_hf_deepspeed_config()


def start_session(config: RunConfig, ranks: Ranks) -> Session:
    """Join the process group and build the Accelerator. Raises ConfigError if it is not what was asked."""
    import_deepspeed()
    _avoid_op_builds()
    # DeepSpeed calls collectives by the names that torch 2.13 renamed; each warns on every rank.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    from accelerate import Accelerator, DeepSpeedPlugin
    from accelerate.utils import InitProcessGroupKwargs

    on_gpu = torch.cuda.is_available()
    limit = timedelta(seconds=config.cluster.collective_timeout_seconds)
    os.environ.setdefault("LOCAL_RANK", str(ranks.local_rank))
    assert config.train.deepspeed is not None
    zero = read_zero(config.train.deepspeed)
    plugin = DeepSpeedPlugin(hf_ds_config=engine_config(zero, config, ranks.world_size))
    accelerator = Accelerator(
        deepspeed_plugin=plugin,
        mixed_precision="bf16" if config.model.dtype == "bfloat16" else "no",
        # Without a named backend accelerate believes on a CPU that every rank is alone.
        kwargs_handlers=[InitProcessGroupKwargs(backend="nccl" if on_gpu else "gloo", timeout=limit)],
    )
    stage = int(zero["zero_optimization"]["stage"])
    session = Session(ranks, accelerator, plugin, stage, limit, offloads_optimizer(zero))
    _assert_as_asked(session, "cuda" if on_gpu else "cpu")
    return session


def build_engine(session: Session, model: ChunkedEncoder, train: TrainConfig) -> Any:
    """The DeepSpeed engine of the model, with AdamW over its trainable parameters.

    Offloaded state is stepped by torch's fused AdamW for CPUs: as fast as DeepSpeedCPUAdam, which would have
    to be compiled, for minutes, by a compiler and a CUDA toolkit that fit (ds_configs/README.md).
    """
    optimizer = torch.optim.AdamW(
        parameter_groups(model, train.weight_decay),
        lr=train.learning_rate,
        betas=train.betas,
        eps=train.epsilon,
        fused=session.device.type == "cuda" or session.offloads_optimizer,
    )
    engine, _ = session.accelerator.prepare(model, optimizer)
    _limit_collectives(session.collective_limit)
    if engine.zero_optimization_stage() != session.stage:
        raise ConfigError(
            "train.deepspeed",
            f"asks for ZeRO stage {session.stage} but the engine runs {engine.zero_optimization_stage()}",
            "check the accelerate configuration and the environment",
        )
    return engine


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters; vectors (biases, norms) are not decayed."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trainable if _rank_of(p) > 1]
    vectors = [p for p in trainable if _rank_of(p) <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _rank_of(parameter: nn.Parameter) -> int:
    """Number of dimensions; a parameter that ZeRO-3 has partitioned keeps its shape apart."""
    return len(getattr(parameter, "ds_shape", parameter.shape))


def _limit_collectives(limit: timedelta) -> None:
    """DeepSpeed makes process groups of its own, which have torch's time limit and not the run's."""
    for group in list(distributed_c10d._world.pg_map):
        distributed_c10d._set_pg_timeout(limit, group)


def _avoid_op_builds() -> None:
    """DeepSpeed would compile a shared-memory collective on a CPU (two minutes), or die without g++."""
    if torch.cuda.is_available():
        return
    import deepspeed

    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _assert_as_asked(session: Session, device: str) -> None:
    """Accelerate falls back without a word in several ways (on a CPU every rank believes itself alone)."""
    from accelerate.utils import DistributedType

    accelerator = session.accelerator
    world_size = dist.get_world_size()
    found = {
        "world size": (accelerator.num_processes, session.ranks.world_size),
        "world size of torch": (world_size, session.ranks.world_size),
        "rank": (accelerator.process_index, session.ranks.rank),
        "distributed type": (accelerator.distributed_type, DistributedType.DEEPSPEED),
        "device": (accelerator.device.type, device),
    }
    for what, (got, asked) in found.items():
        if got != asked:
            raise ConfigError(
                "accelerate",
                f"{what} is {got} where {asked} was asked for",
                "check the accelerate configuration and ACCELERATE_* variables",
            )
