"""The last layer for one token of each text.

Pooling that reads one token needs, of the last layer, the keys and values of every token, but the query, the
output projection and the feed-forward part of that token alone. The layer's own code does both: it first
runs over all tokens as far as its keys and values, then over the pooled tokens, which attend to them through
the layer's interface for cached keys and values.
"""

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from distributed_hbt.models.packed_attention import is_packed
from distributed_hbt.models.pooling import at

_DECODER = ("layers", "self_attn.q_proj")
_ENCODER = ("encoder.layer", "attention.self.query")
_PARTS = {
    "gemma": _DECODER,
    "gemma2": _DECODER,
    "gemma3_text": _DECODER,
    "llama": _DECODER,
    "mistral": _DECODER,
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "bert": _ENCODER,
    "electra": _ENCODER,
    "roberta": _ENCODER,
    "xlm-roberta": _ENCODER,
}
"""Model type -> where its layers are, and in a layer the query projection. Each is tested for equality."""

_KERNELS = ("sdpa", "eager")
"""Attention that takes a mask of any shape; flash attention takes none for single queries."""


def can_run_for_one_token(backbone: Any) -> bool:
    """Whether `for_one_token`, or `for_one_packed_token` where the backbone takes packed rows, knows it: its
    family, transformers' own code, its attention; and no ZeRO-3, whose hooks count on every module being run
    to its end."""
    if any(hasattr(parameter, "ds_id") for parameter in backbone.parameters()):
        return False
    config = backbone.config
    own_code = type(backbone).__module__.startswith("transformers.models.")
    known = config.model_type in _PARTS and own_code and not getattr(config, "is_decoder", False)
    if is_packed(backbone):
        return known and not _ends_with_a_window(config)
    return known and config._attn_implementation in _KERNELS


def last_layer(backbone: Any) -> Any:
    """Of a backbone that `for_one_token` knows."""
    layers, _ = _PARTS[backbone.config.model_type]
    return backbone.get_submodule(layers)[-1]


@contextmanager
def for_one_token(backbone: Any, position_B: Tensor, attention_mask_BL: Tensor) -> Iterator[None]:
    """Inside, `backbone` gives `last_hidden_state` [B, 1, D]: that of the token at `position_B` of each text.

    For one batch: `attention_mask_BL` is 1 on its real tokens. A gradient goes through as through the whole
    layer. Dropout in the layer is drawn for one token, so that it differs from a whole layer's.
    """

    def shortened(keys_and_values: nn.Module, given: dict[str, Any]) -> dict[str, Any]:
        return _shortened(keys_and_values, given, position_B, attention_mask_BL)

    with _last_layer_with(backbone, shortened):
        yield


@contextmanager
def for_one_packed_token(backbone: Any, place_B: Tensor) -> Iterator[None]:
    """As `for_one_token`, for a packed row: `last_hidden_state` is [1, B, D], of the tokens at `place_B`."""

    def shortened(keys_and_values: nn.Module, given: dict[str, Any]) -> dict[str, Any]:
        return _shortened_packed(keys_and_values, given, place_B)

    with _last_layer_with(backbone, shortened):
        yield


@contextmanager
def _last_layer_with(
    backbone: Any, shortened: Callable[[nn.Module, dict[str, Any]], dict[str, Any]]
) -> Iterator[None]:
    """Inside, the last layer gets what `shortened` makes of a layer that only computes its keys and values,
    and of the arguments for all tokens."""
    _, query = _PARTS[backbone.config.model_type]
    last = last_layer(backbone)
    keys_and_values = _with(last, query, _OneHead(_head_width(backbone.config)))
    names = list(inspect.signature(last.forward).parameters)

    def shorten(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[()], dict[str, Any]]:
        given = dict(zip(names, args, strict=False)) | kwargs
        return (), shortened(keys_and_values, given)

    handle = last.register_forward_pre_hook(shorten, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _shortened(
    keys_and_values: nn.Module, given: dict[str, Any], position_B: Tensor, attention_mask_BL: Tensor
) -> dict[str, Any]:
    """The layer's arguments for the pooled tokens, from those for all tokens."""
    kept = _kept(keys_and_values, given)
    short = given | {
        "hidden_states": at(given["hidden_states"], position_B)[:, None],
        "attention_mask": _mask(given["attention_mask"], position_B, attention_mask_BL),
        "past_key_values": kept,
    }
    if given.get("position_ids") is not None:
        short["position_ids"] = _rows(given["position_ids"], position_B)
    if given.get("position_embeddings") is not None:
        short["position_embeddings"] = tuple(_rows(part, position_B) for part in given["position_embeddings"])
    return short


def _shortened_packed(keys_and_values: nn.Module, given: dict[str, Any], place_B: Tensor) -> dict[str, Any]:
    """The same for a packed row."""
    kept = _kept(keys_and_values, given)
    texts = len(place_B)
    short = given | {
        "hidden_states": given["hidden_states"].index_select(1, place_B),
        "past_key_values": kept,
        "cu_seq_lens_q": torch.arange(texts + 1, dtype=torch.int32, device=place_B.device),
        "max_length_q": 1,
    }
    if given.get("position_ids") is not None:
        short["position_ids"] = given["position_ids"].index_select(1, place_B)
    if given.get("position_embeddings") is not None:
        parts = given["position_embeddings"]
        short["position_embeddings"] = tuple(part.index_select(1, place_B) for part in parts)
    return short


def _kept(keys_and_values: nn.Module, given: dict[str, Any]) -> "_Kept":
    """The keys and values of all tokens."""
    kept = _Kept()
    with suppress(_Reached):
        keys_and_values.forward(**(given | {"past_key_values": kept}))
        raise AssertionError("the last layer did not hand over its keys and values")
    return kept


def _mask(mask: Tensor | None, position_B: Tensor, attention_mask_BL: Tensor) -> Tensor:
    """Which keys a pooled token sees: its row of the layer's mask.

    Without one, tokens attend causally or none is padded: either way the pooled token sees the real ones.
    """
    if mask is None:
        return attention_mask_BL.bool()[:, None, None]
    rows_B1QL = mask.expand(len(position_B), -1, -1, -1)
    return at(rows_B1QL.transpose(1, 2), position_B)[:, :, None]


def _rows(values: Tensor, position_B: Tensor) -> Tensor:
    """values[:, position] with the length kept as 1; a first dimension of 1 stands for every text."""
    return at(values.expand(len(position_B), *values.shape[1:]), position_B)[:, None]


class _Reached(Exception):  # noqa: N818 (a way out, no error)
    """The keys and values are there: the rest of the layer is not needed."""


class _Kept:
    """Stands where a layer expects its cache: keeps the first keys and values, and gives them afterwards."""

    def __init__(self) -> None:
        self._kept: tuple[Tensor, Tensor] | None = None

    def update(self, key: Tensor, value: Tensor, *_: object) -> tuple[Tensor, Tensor]:
        if self._kept is None:
            self._kept = key, value
            raise _Reached
        return self._kept


class _OneHead(nn.Module):
    """In the place of a query projection whose result is not used: the fewest heads, of whatever values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def forward(self, hidden_BLD: Tensor) -> Tensor:
        return hidden_BLD[..., :1].expand(*hidden_BLD.shape[:-1], self._width)


def _ends_with_a_window(config: Any) -> bool:
    """Whether the last layer sees a window alone, so that it needs to know which token of its text it has."""
    layers = getattr(config, "layer_types", None)
    if layers:
        return str(layers[-1]) != "full_attention"
    return getattr(config, "sliding_window", None) is not None


def _head_width(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _with(module: nn.Module, path: str, part: nn.Module) -> nn.Module:
    """A copy of `module`, on the same weights, in which the submodule at `path` is `part`."""
    head, _, rest = path.partition(".")
    twin = copy.copy(module)
    inner = _with(module.get_submodule(head), rest, part) if rest else part
    twin._modules = {**module._modules, head: inner}
    return twin
