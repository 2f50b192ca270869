"""The stack of layers of a backbone."""

from typing import Any

from torch import nn


def layer_stack(backbone: Any) -> tuple[str, nn.ModuleList] | None:
    """Its name in the backbone and the layers, first to last; None where there is no such list."""
    count = backbone.config.num_hidden_layers
    for name, module in backbone.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name, module
    return None
