"""Which ZeRO configuration a run has, and what the run configuration adds to it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError

RUN_OWNED = {
    "train_batch_size": "train.global_batch_size",
    "train_micro_batch_size_per_gpu": "train.global_batch_size",
    "gradient_accumulation_steps": "train.max_tokens_per_chunk",
    "gradient_clipping": "train.max_grad_norm",
    "optimizer": "train.learning_rate and its neighbours",
    "zero_force_ds_cpu_optimizer": "train.learning_rate and its neighbours",
    "scheduler": "train.schedule",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
    "torch_autocast": "model.dtype",
    "activation_checkpointing": "train.activation_checkpointing",
}
"""Keys that a ds_configs file may not restate, and the run's field that decides instead."""

OTHER_OPTIMIZERS = {"ratio": 1.0, "super_offload": False}
"""Options of offload_optimizer for DeepSpeed's own optimizers alone, with the value that asks for nothing."""

DEFAULT = "ds_configs/zero2.json"


def with_deepspeed(config: RunConfig, environment: Mapping[str, str] = os.environ) -> RunConfig:
    """The run with `train.deepspeed` settled: the run's own, or the launcher's, or the default.

    Raises ConfigError where an accelerate configuration names another one than the run: neither is
    silently preferred.
    """
    if environment.get("ACCELERATE_USE_CPU", "").lower() == "true":
        raise ConfigError(
            "accelerate configuration",
            "use_cpu: true silently switches DeepSpeed off",
            "set use_cpu: false; without a GPU the CPU is used anyway",
        )
    launcher = _named_by_launcher(environment)
    own = config.train.deepspeed
    if own is None:
        own = str(launcher.absolute()) if isinstance(launcher, Path) else default_file()
    _refuse_other(own, launcher)
    read_zero(own)
    return config.model_copy(update={"train": config.train.model_copy(update={"deepspeed": own})})


def read_zero(path: str) -> dict[str, Any]:
    """A ds_configs file. Raises ConfigError if it is none, or restates what the run owns."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError("train.deepspeed", f"nothing is found at {path}", "see ds_configs/") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            path, f"can not be read as JSON ({error})", "see ds_configs/ for examples"
        ) from error
    zero = content.get("zero_optimization") if isinstance(content, dict) else None
    if not isinstance(zero, dict) or "stage" not in zero:
        raise ConfigError(path, "has no zero_optimization.stage", "see ds_configs/ for examples")
    _check_values(path, zero)
    for key, field in RUN_OWNED.items():
        if key in content:
            raise ConfigError(path, f"restates {key}", f"remove it; {field} of the run decides")
    if zero.get("compute_grad_norm") is False:
        what = "turns off zero_optimization.compute_grad_norm, which tells gradients that are not finite"
        raise ConfigError(path, what, "leave it out")
    _check_offload(path, zero)
    checked: dict[str, Any] = content
    return checked


def offloads_optimizer(zero: Mapping[str, Any]) -> bool:
    """Whether the optimizer's state is kept, and stepped, on CPUs."""
    device: str = (zero["zero_optimization"].get("offload_optimizer") or {}).get("device", "none")
    return device != "none"


def engine_config(zero: Mapping[str, Any], config: RunConfig, world_size: int) -> dict[str, Any]:
    """The whole DeepSpeed configuration: ZeRO from its file, run-level facts from the run."""
    batch = config.train.global_batch_size
    return {
        **zero,
        "train_batch_size": batch,
        "train_micro_batch_size_per_gpu": batch // world_size,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": config.train.max_grad_norm or 0.0,  # DeepSpeed clips at 1.0 when left out
        "bf16": {"enabled": config.model.dtype == "bfloat16"},
        "fp16": {"enabled": False},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # offloaded state is stepped by torch's AdamW too
    }


def _check_values(path: str, zero: Mapping[str, Any]) -> None:
    """Refuse what is read here and has another form than DeepSpeed's."""
    if isinstance(zero["stage"], bool) or zero["stage"] not in (0, 1, 2, 3):
        raise ConfigError(path, f"zero_optimization.stage is {zero['stage']!r}", "name 0, 1, 2 or 3")
    for key in ("offload_optimizer", "offload_param"):
        if not isinstance(zero.get(key), dict | None):
            raise ConfigError(path, f"{key} is {zero[key]!r}", "give a mapping, as ds_configs/ has it")
    for key, value in zero.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if key.endswith(("_size", "_threshold")) and not (is_number and 0 <= value < 2**63):
            raise ConfigError(path, f"{key} is {value!r}", "give a number of elements")


def _check_offload(path: str, zero: Mapping[str, Any]) -> None:
    """Refuse what DeepSpeed would refuse with an assertion, or ignore."""
    for key in ("offload_optimizer", "offload_param"):
        device = (zero.get(key) or {}).get("device", "none")
        lowest = 3 if key == "offload_param" else 1
        if device not in ("none", "cpu"):
            raise ConfigError(path, f"{key}.device is {device}; only cpu is supported", "name cpu, or none")
        if device != "none" and zero["stage"] < lowest:
            what = f"{key} needs ZeRO stage {lowest}, this is {zero['stage']}"
            raise ConfigError(path, what, "raise the stage, or leave it out")
    for key, off in OTHER_OPTIMIZERS.items():
        if (zero.get("offload_optimizer") or {}).get(key, off) != off:
            what = f"offload_optimizer.{key} needs an optimizer of DeepSpeed's"
            raise ConfigError(path, what, "leave it out; runs train with torch's AdamW")


def _named_by_launcher(environment: Mapping[str, str]) -> Path | int | None:
    """The file, or else the bare ZeRO stage, that accelerate's launcher hands down."""
    if environment.get("ACCELERATE_USE_DEEPSPEED", "").lower() != "true":
        return None
    file = environment.get("ACCELERATE_DEEPSPEED_CONFIG_FILE", "none")
    if file.lower() != "none":
        return Path(file)
    stage = environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE")
    return int(stage) if stage is not None else None


def _refuse_other(own: str, launcher: Path | int | None) -> None:
    if launcher is None:
        return
    mine = read_zero(own)
    if isinstance(launcher, int):
        other, same = f"ZeRO stage {launcher}", launcher == mine["zero_optimization"]["stage"]
    else:
        other, same = str(launcher), read_zero(str(launcher)) == mine
    if not same:
        raise ConfigError(
            "train.deepspeed",
            f"is {own} but the accelerate configuration names {other}",
            "name the same in both, or leave train.deepspeed out",
        )


def default_file() -> str:
    """Where ds_configs/zero2.json is. Raises ConfigError where it is not found."""
    for folder in (Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / DEFAULT).exists():
            return str(folder / DEFAULT)
    raise ConfigError("train.deepspeed", f"is not set and {DEFAULT} is not here", "name a ZeRO configuration")
