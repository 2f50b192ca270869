"""How many parameters a run has, counted on the model that the run's own code builds, without memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from distributed_hbt.errors import ConfigError
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.layers import layer_stack
from distributed_hbt.models.lora import is_adapter_weight
from distributed_hbt.planner.architecture import Architecture


@dataclass(frozen=True)
class ParameterCounts:
    """All are numbers of parameters.

    `total` is without adapters and without a head; `matrices` those of linear maps in layers, which a token
    is multiplied with; `pooled_alone` of them belong to the last layer and see the pooled token alone where
    it is shortened; `backward_matrices` are those through which a gradient goes. `sizes` are of all tensors.
    """

    total: int
    embeddings: int
    adapter: int
    trained: int
    matrices: int
    pooled_alone: int
    backward_matrices: int
    largest_layer: int
    largest_parameter: int
    layers: int
    attention_width: int
    dimension: int
    sizes: tuple[int, ...]

    @property
    def without_embeddings(self) -> int:
        return self.total - self.embeddings

    @property
    def held(self) -> int:
        """By a process: model and adapter."""
        return self.total + self.adapter

    def small(self, threshold: int) -> int:
        """Those in tensors of at most `threshold` elements."""
        return sum(size for size in self.sizes if size <= threshold)


def count_parameters(architecture: Architecture) -> ParameterCounts:
    """Raises ConfigError where no such model can be built."""
    with torch.device("meta"):
        encoder = build_encoder(architecture.model, seed=0)
    named = list(encoder.named_parameters())
    layers = _layers(encoder)
    adapter = _size(p for name, p in named if is_adapter_weight(name))
    first = _first_trained(layers)
    products = [_matrices(layer) for layer in layers]
    config = encoder.backbone.config
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return ParameterCounts(
        total=_size(p for _, p in named) - adapter,
        embeddings=sum(_size(m.parameters()) for m in encoder.modules() if isinstance(m, nn.Embedding)),
        adapter=adapter,
        trained=_size(p for _, p in named if p.requires_grad),
        matrices=sum(products),
        pooled_alone=_pooled_alone(layers[-1]) if encoder.shortens_last_layer else 0,
        backward_matrices=sum(products[first:]),
        largest_layer=max(_size(layer.parameters()) for layer in layers),
        largest_parameter=max(p.numel() for _, p in named),
        layers=len(layers),
        attention_width=width * config.num_attention_heads,
        dimension=encoder.dimension,
        sizes=tuple(p.numel() for _, p in named),
    )


def _layers(encoder: Encoder) -> list[nn.Module]:
    found = layer_stack(encoder.backbone)
    if found is None:
        what = f"a {encoder.backbone.config.model_type} has no list of layers to plan with"
        raise ConfigError("model", what, "use a decoder or encoder that is a stack of layers")
    return list(found[1])


def _first_trained(layers: list[nn.Module]) -> int:
    """Number of the first layer that has something to train: no gradient goes below it."""
    trained = (i for i, layer in enumerate(layers) if any(p.requires_grad for p in layer.parameters()))
    return next(trained, len(layers))


def _matrices(layer: nn.Module) -> int:
    """Of its linear maps, without biases and adapters."""
    return sum(
        p.numel() for name, p in layer.named_parameters() if p.ndim == 2 and not is_adapter_weight(name)
    )


def _pooled_alone(layer: nn.Module) -> int:
    """All but keys and values, which every token has."""
    every = ("k_proj", "v_proj", "key", "value")
    kept = sum(
        p.numel()
        for name, p in layer.named_parameters()
        if p.ndim == 2 and not is_adapter_weight(name) and any(part in every for part in name.split("."))
    )
    return _matrices(layer) - kept


def _size(parameters: Iterable[Any]) -> int:
    return sum(parameter.numel() for parameter in parameters)
