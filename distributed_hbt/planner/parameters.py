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
    it is shortened, with `pooled_adapter` of the adapters; `backward_matrices` are those through which a
    gradient goes, `into_first` and `adapter_into_first` those whose input needs none (what the first layer
    with an adapter reads). `not_again` are those that no recomputation reaches: a layer's last product, where
    nothing of the layer comes after it. `sizes` are of all tensors.
    """

    total: int
    embeddings: int
    adapter: int
    trained: int
    matrices: int
    pooled_alone: int
    pooled_adapter: int
    backward_matrices: int
    into_first: int
    adapter_into_first: int
    not_again: int
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
        pooled_alone=_pooled_alone(layers[-1], adapter=False) if encoder.shortens_last_layer else 0,
        pooled_adapter=_pooled_alone(layers[-1], adapter=True) if encoder.shortens_last_layer else 0,
        backward_matrices=sum(products[first:]),
        into_first=_reading_input(layers[first], ".base_layer") if adapter else 0,
        adapter_into_first=_reading_input(layers[first], ".lora_A") if adapter else 0,
        not_again=0 if adapter else sum(map(_not_again, layers)),
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


_KEYS_AND_VALUES = ("k_proj", "v_proj", "key", "value")
_QUERIES = ("q_proj", "query")


def _pooled_alone(layer: nn.Module, *, adapter: bool) -> int:
    """All but keys and values, which every token has; of the adapters, or of what is below them."""
    return sum(
        parameter.numel()
        for name, parameter in layer.named_parameters()
        if parameter.ndim == 2
        and is_adapter_weight(name) == adapter
        and not any(part in _KEYS_AND_VALUES for part in name.split("."))
    )


def _reading_input(layer: nn.Module, kind: str) -> int:
    """Queries, keys and values of a layer: of the matrices below adapters, or of the adapters' first ones."""
    return sum(
        parameter.numel()
        for name, parameter in layer.named_parameters()
        if parameter.ndim == 2
        and kind in name
        and any(part in (*_QUERIES, *_KEYS_AND_VALUES) for part in name.split("."))
    )


def _not_again(layer: nn.Module) -> int:
    """torch stops recomputing a layer once all that the backward needs is there. A decoder's layer ends with
    a product and a sum, whose result nobody needs; an encoder's, and Gemma 2's, with a norm."""
    if hasattr(layer, "post_feedforward_layernorm"):
        return 0
    return sum(p.numel() for name, p in layer.named_parameters() if name == "mlp.down_proj.weight")


def _size(parameters: Iterable[Any]) -> int:
    return sum(parameter.numel() for parameter in parameters)
