"""Causal or bidirectional attention of a backbone, and the positions of padded texts."""

import inspect
import sys
from typing import Any

import torch
from torch import Tensor, nn

from distributed_hbt.config.model import ENCODER_MODEL_TYPES
from distributed_hbt.errors import ConfigError

_SWITCHABLE_LAYERS = {"full_attention", "sliding_attention"}


def set_attention(backbone: Any, attention: str) -> None:
    """Make `backbone` attend as `attention` says.

    A decoder becomes bidirectional through two switches: `config.is_causal` decides which mask
    transformers builds, and `is_causal` of every attention module what the kernel does where no mask is
    needed. A sliding window stays, and then reaches to both sides.

    Raises:
        ConfigError: the backbone can not attend in that way.
    """
    kind = backbone.config.model_type
    modules = _attention_modules(backbone)
    if attention == "causal":
        if not attends_causally(backbone) and (modules or kind in ENCODER_MODEL_TYPES):
            what = f"this {kind} attends in both directions, causal does not fit"
            raise ConfigError("model.attention", what, "set it to bidirectional")
        return
    if kind in ENCODER_MODEL_TYPES or (modules and not attends_causally(backbone)):
        _reset_kernels(backbone, modules)
        return
    builds_masks = hasattr(sys.modules[type(backbone).__module__], "create_causal_mask")
    layers = set(getattr(backbone.config, "layer_types", None) or ())
    if not modules or not builds_masks or not layers <= _SWITCHABLE_LAYERS:
        what = f"a {kind} can not be made bidirectional"
        raise ConfigError("model.attention", what, "set it to causal")
    backbone.config.is_causal = False
    _reset_kernels(backbone, modules)


def attends_causally(backbone: Any) -> bool:
    """Whether every attention of the backbone is known to see nothing to its right."""
    modules = _attention_modules(backbone)
    asked = getattr(backbone.config, "is_causal", True) is not False
    return bool(modules) and asked and all(module.is_causal for module in modules)


def takes_positions(backbone: Any) -> bool:
    """Whether position ids can be given, which left padding needs."""
    return "position_ids" in inspect.signature(backbone.forward).parameters


def first_position(backbone: Any) -> int:
    """The position of a text's first token: 0, except in RoBERTa's kin, which count from padding + 1."""
    table = position_table(backbone)
    return 0 if table is None or table.padding_idx is None else table.padding_idx + 1


def position_table(backbone: Any) -> nn.Embedding | None:
    """The learned position embeddings, where the backbone has some."""
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Embedding) and name.rpartition(".")[2] in ("position_embeddings", "wpe"):
            return module
    return None


def positions(attention_mask_BL: Tensor, first: int) -> Tensor:
    """Position of every token, counted over real tokens; a padded one gets a valid, unused position."""
    return (attention_mask_BL.cumsum(1) - 1).clamp(min=0) + first


def padded_right(input_ids_BL: Tensor, attention_mask_BL: Tensor) -> tuple[Tensor, Tensor]:
    """The same texts, padded on the left, with their padding on the right."""
    length = attention_mask_BL.shape[1]
    first_B1 = length - attention_mask_BL.sum(1, keepdim=True)
    from_BL = (torch.arange(length, device=input_ids_BL.device) + first_B1) % length
    return input_ids_BL.gather(1, from_BL), attention_mask_BL.gather(1, from_BL)


def _attention_modules(backbone: Any) -> list[Any]:
    return [module for module in backbone.modules() if isinstance(getattr(module, "is_causal", None), bool)]


def _reset_kernels(backbone: Any, modules: list[Any]) -> None:
    for module in modules:
        module.is_causal = False
