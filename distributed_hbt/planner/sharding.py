"""What of a ds_configs file decides memory and traffic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BUCKET = 500_000_000
_PREFETCH, _PERSISTENT = 50_000_000, 100_000
"""DeepSpeed's own values where a file is silent: deepspeed/runtime/zero/config.py, 0.19."""


@dataclass(frozen=True)
class Sharding:
    """Sizes in elements; `group` is the number of GPUs that share a second copy of the weights (ZeRO++'s
    hpZ), 1 for none. `optimizer_on_host` and `weights_on_host` say what is offloaded."""

    stage: int
    overlaps: bool
    bucket: int
    prefetch: int
    persistent: int
    group: int
    optimizer_on_host: bool
    weights_on_host: bool


def sharding_of(zero: Mapping[str, Any]) -> Sharding:
    """From the content of a ds_configs file."""
    given = zero["zero_optimization"]
    stage = int(given["stage"])
    return Sharding(
        stage=stage,
        overlaps=bool(given.get("overlap_comm", stage == 3)),
        bucket=int(given.get("reduce_bucket_size", _BUCKET)),
        prefetch=int(given.get("stage3_prefetch_bucket_size", _PREFETCH)),
        persistent=int(given.get("stage3_param_persistence_threshold", _PERSISTENT)),
        group=int(given.get("zero_hpz_partition_size", 1)),
        optimizer_on_host=_offloaded(given, "offload_optimizer"),
        weights_on_host=_offloaded(given, "offload_param"),
    )


def _offloaded(given: Mapping[str, Any], key: str) -> bool:
    return bool((given.get(key) or {}).get("device", "none") != "none")
