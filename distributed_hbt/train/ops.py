"""Which operations DeepSpeed compiles for a ZeRO configuration when the engine is built."""

import os
from collections.abc import Mapping, Sequence
from typing import Any


def compiled_ops(zero: Mapping[str, Any]) -> tuple[str, ...]:
    """Names as `ds_report` has them. Optimizer state on the CPU is updated by cpu_adam, unless the
    configuration allows any optimizer there; what lies on NVMe goes through async_io. AdamW on GPUs is
    torch's own, and the collective of shared memory on CPUs is switched off (train/engine.py)."""
    stage = zero["zero_optimization"]
    optimizer = stage.get("offload_optimizer", {}).get("device", "none")
    weights = stage.get("offload_param", {}).get("device", "none")
    ops = []
    if optimizer != "none" and zero.get("zero_force_ds_cpu_optimizer", True):
        ops.append("cpu_adam")
    if "nvme" in (optimizer, weights):
        ops.append("async_io")
    return tuple(ops)


def unbuildable(ops: Sequence[str]) -> list[str]:
    """Those of them for which DeepSpeed misses something beside a compiler, such as libaio."""
    import torch

    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    from deepspeed.ops.op_builder.all_ops import ALL_OPS

    return [op for op in ops if op not in ALL_OPS or not ALL_OPS[op].is_compatible(verbose=False)]
