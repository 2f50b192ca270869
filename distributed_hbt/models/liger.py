"""Fused kernels of the package liger-kernel: norms, rotary positions, gated feed-forward parts."""

import importlib.util
from typing import Any

import torch

from distributed_hbt.errors import ConfigError

_WHERE = "train.liger_kernels"


def use_liger_kernels(backbone: Any, device: torch.device) -> None:
    """Put the kernels into `backbone`.

    Rotary positions are replaced for the family in the whole process: it must not run another model of the
    family on a CPU afterwards.

    Raises:
        ConfigError: the package, a GPU, or kernels for the family are missing.
    """
    if importlib.util.find_spec("liger_kernel") is None:
        what = "needs the package liger-kernel, which is not installed"
        raise ConfigError(_WHERE, what, "install it (the extra `gpu`), or set it to false")
    if device.type != "cuda":
        raise ConfigError(_WHERE, "needs an NVIDIA GPU, and there is none here", "set it to false")
    from liger_kernel.transformers import _apply_liger_kernel_to_instance
    from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

    kind = backbone.config.model_type
    if kind not in MODEL_TYPE_TO_APPLY_LIGER_FN:
        raise ConfigError(_WHERE, f"there are none for a {kind}", "set it to false")
    # The losses of language models would replace the backbone's own forward.
    _apply_liger_kernel_to_instance(
        model=backbone,
        rope=True,
        rms_norm=True,
        swiglu=True,
        geglu=True,
        cross_entropy=False,
        fused_linear_cross_entropy=False,
    )
