"""Whole weights out of an engine, whatever its ZeRO stage."""

from typing import Any

import torch
from torch import Tensor

from distributed_hbt.distributed.process_group import Ranks


def whole_weights(engine: Any, ranks: Ranks, *, trainable_only: bool) -> dict[str, Tensor]:
    """State dict of the encoder on the CPU of rank 0; empty on other ranks. Every rank must call it.

    Under ZeRO-3 each parameter is gathered before it is copied: saving a partitioned one writes an empty
    tensor without a word.
    """
    import deepspeed

    weights: dict[str, Tensor] = {}
    encoder = engine.module.encoder
    for name, parameter in encoder.named_parameters():
        if trainable_only and not parameter.requires_grad:
            continue
        with deepspeed.zero.GatheredParameters([parameter]):
            if ranks.is_first:
                weights[name] = parameter.detach().to("cpu", copy=True)
    if ranks.is_first and not trainable_only:
        persistent = set(torch.nn.Module.state_dict(encoder).keys())
        for name, buffer in encoder.named_buffers():
            if name in persistent:
                weights[name] = buffer.detach().to("cpu", copy=True)
    return weights
