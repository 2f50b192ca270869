"""Attention within each text of a packed row, through transformers' interface for attention functions.

The layer's own code runs on the packed row [1, T]. In the place of its attention stands one of the kernels
here; where texts begin comes to it in the keyword arguments that transformers has for FlashAttention. No mask
is built: transformers builds none for attention functions that it does not know.
"""

import importlib.util
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.models.packing import Packing, from_grid, to_grid

PACKABLE = frozenset(
    {
        "bert",
        "electra",
        "gemma",
        "gemma2",
        "gemma3_text",
        "llama",
        "mistral",
        "modernbert",
        "phi3",
        "qwen2",
        "qwen3",
        "roberta",
        "xlm-roberta",
    }
)
"""Families whose layers hand the keyword arguments on to their attention. Each is tested for equality
(gemma2, which caps its scores, with a stand-in for FlashAttention)."""

_PREFIX = "hbt_packed_"
_WHERE = "model.attention_implementation"


class _Asked(NamedTuple):
    """What a layer asks of its attention. Queries are all tokens, or one of each text, which then sees all of
    it. `reach` is how far a token sees to its left and right, -1: to the end of its text."""

    query_edge_E: Tensor
    query_longest: int
    edge_E: Tensor
    longest: int
    causal: bool
    reach: tuple[int, int]
    scale: float | None
    dropout: float
    softcap: float | None


_Kernel = Callable[[Tensor, Tensor, Tensor, _Asked], Tensor]
"""(query_THK, key_TGK, value_TGK, asked) -> out_THK; H heads, G of keys and values, K wide."""


def check_kernel(model: ModelConfig) -> None:
    """Whether the kernel of `padding_free` is installed here. Raises ConfigError."""
    if not model.padding_free:
        return
    if model.attention_implementation == "flash_attention_2" and not _is_installed("flash_attn"):
        what = "flash_attention_2 needs the package flash-attn, which is not installed"
        raise ConfigError(_WHERE, what, "install it (the extra `gpu`), or set torch_varlen")
    if model.attention_implementation == "torch_varlen" and not _has_torch_varlen():
        what = f"torch_varlen needs a newer torch than {torch.__version__} (2.13 is known to have it)"
        raise ConfigError(_WHERE, what, "install one, or set it to sdpa")


def check_device(model: ModelConfig, device: torch.device) -> None:
    """Whether the kernel of `padding_free` runs on the device. Raises ConfigError."""
    if model.padding_free and model.attention_implementation != "sdpa" and device.type != "cuda":
        what = f"{model.attention_implementation} needs an NVIDIA GPU, and there is none here"
        raise ConfigError(_WHERE, what, "set it to sdpa")


def runs_flash(device: torch.device) -> bool:
    """Whether FlashAttention runs on the device."""
    return device.type == "cuda" and _is_installed("flash_attn")


def use_packed_attention(backbone: Any, implementation: str) -> None:
    """Make `backbone`, built with the kernel for padded texts, take packed rows (see `packed_arguments`).

    Raises:
        ConfigError: it is of another family than those that are known to, or asks what the kernel lacks.
    """
    from transformers import AttentionInterface

    kind, own_code = backbone.config.model_type, type(backbone).__module__.startswith("transformers.models.")
    if kind not in PACKABLE or not own_code:
        what = f"a {kind} is not known to take texts without padding"
        raise ConfigError("model.padding_free", what, "set it to false")
    if implementation == "torch_varlen" and _attention_dropout(backbone.config) > 0:
        what = f"torch_varlen has no attention dropout, and this {kind} asks for it"
        raise ConfigError(_WHERE, what, "set it to flash_attention_2 or sdpa")
    name = _PREFIX + implementation
    AttentionInterface.register(name, _as_interface(_KERNELS[implementation]))
    backbone.config._attn_implementation = name


def is_packed(backbone: Any) -> bool:
    """Whether the backbone takes packed rows."""
    return str(backbone.config._attn_implementation).startswith(_PREFIX)


def packed_arguments(packing: Packing, first_position: int) -> dict[str, Any]:
    """What the backbone takes beside the ids of a packed row."""
    return {
        "attention_mask": None,
        "position_ids": packing.position_1T + first_position,
        "cu_seq_lens_q": packing.edge_E,
        "cu_seq_lens_k": packing.edge_E,
        "max_length_q": packing.longest,
        "max_length_k": packing.longest,
    }


def _as_interface(kernel: _Kernel) -> Callable[..., tuple[Tensor, None]]:
    def attention(
        module: nn.Module,
        query_1HTK: Tensor,
        key_1GTK: Tensor,
        value_1GTK: Tensor,
        attention_mask: Tensor | None,
        *,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        softcap: float | None = None,
        cu_seq_lens_q: Tensor | None = None,
        cu_seq_lens_k: Tensor | None = None,
        max_length_q: int | None = None,
        max_length_k: int | None = None,
        **_: object,
    ) -> tuple[Tensor, None]:
        # Without them, texts would see each other.
        assert cu_seq_lens_q is not None, "the backbone lost where its texts begin"
        assert cu_seq_lens_k is not None, "the backbone lost where its texts begin"
        assert max_length_q is not None, "the backbone lost the length of its texts"
        assert max_length_k is not None, "the backbone lost the length of its texts"
        assert attention_mask is None, "packed texts have no mask"
        single, windowed = max_length_q < max_length_k, sliding_window is not None
        assert not (single and windowed), "a window needs the place of its token"
        causal = bool(module.is_causal) and not single
        reach = _reach(module, causal=causal, windowed=windowed)
        edges = (cu_seq_lens_q, max_length_q, cu_seq_lens_k, max_length_k)
        asked = _Asked(*edges, causal, reach, scaling, dropout, softcap)
        query_THK, key_TGK, value_TGK = (p[0].transpose(0, 1) for p in (query_1HTK, key_1GTK, value_1GTK))
        return kernel(query_THK, key_TGK, value_TGK, asked)[None], None

    return attention


def _reach(module: Any, *, causal: bool, windowed: bool) -> tuple[int, int]:
    """As the masks that transformers builds for padded texts: a causal window counts the token itself."""
    if not windowed:
        return (-1, 0) if causal else (-1, -1)
    window = int(module.config.sliding_window)  # what the layer hands over is off by one in some families
    return (window - 1, 0) if causal else (window, window)


def _sdpa(query_THK: Tensor, key_TGK: Tensor, value_TGK: Tensor, asked: _Asked) -> Tensor:
    """Padding for the attention alone: runs everywhere. Tokens do not see padding to their right, so that
    causal attention needs no mask."""
    assert asked.softcap is None, "torch's attention has no soft cap"
    query_BHLK = to_grid(query_THK, asked.query_edge_E, asked.query_longest).transpose(1, 2)
    key_BGLK = to_grid(key_TGK, asked.edge_E, asked.longest).transpose(1, 2)
    value_BGLK = to_grid(value_TGK, asked.edge_E, asked.longest).transpose(1, 2)
    mask = _grid_mask(asked)
    groups = query_THK.shape[1] // key_TGK.shape[1]
    if mask is not None and groups > 1:  # with a mask, torch's fast kernels want as many heads of keys
        key_BGLK, value_BGLK = (part.repeat_interleave(groups, 1) for part in (key_BGLK, value_BGLK))
    out_BHLK = functional.scaled_dot_product_attention(
        query_BHLK,
        key_BGLK,
        value_BGLK,
        attn_mask=mask,
        dropout_p=asked.dropout,
        is_causal=mask is None,
        scale=asked.scale,
        enable_gqa=mask is None and groups > 1,
    )
    return from_grid(out_BHLK.transpose(1, 2), asked.query_edge_E, query_THK.shape[0])


def _grid_mask(asked: _Asked) -> Tensor | None:
    """Which keys a token of the grid sees, [B, 1, L, L] or [B, 1, 1, L]; None: up to itself."""
    if asked.reach == (-1, 0):
        return None
    position_L = torch.arange(asked.longest, device=asked.edge_E.device)
    real_BL = position_L < torch.diff(asked.edge_E)[:, None]
    if asked.query_longest < asked.longest:
        return real_BL[:, None, None]
    behind_LL = position_L[:, None] - position_L
    left, right = asked.reach
    seen_LL = torch.ones_like(behind_LL, dtype=torch.bool)
    if left >= 0:
        seen_LL = seen_LL & (behind_LL <= left)
    if right >= 0:
        seen_LL = seen_LL & (-behind_LL <= right)
    # Padding sees itself: a row that sees nothing is no number, and its gradient spreads.
    return (seen_LL & (real_BL[:, None] | (behind_LL == 0)))[:, None]


def _torch_varlen(query_THK: Tensor, key_TGK: Tensor, value_TGK: Tensor, asked: _Asked) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    assert asked.softcap is None, "torch's attention has no soft cap"
    out = varlen_attn(
        query_THK,
        key_TGK,
        value_TGK,
        asked.query_edge_E,
        asked.edge_E,
        asked.query_longest,
        asked.longest,
        scale=asked.scale,
        window_size=asked.reach,
        enable_gqa=query_THK.shape[1] != key_TGK.shape[1],
    )
    assert isinstance(out, Tensor)
    return out


def _flash(query_THK: Tensor, key_TGK: Tensor, value_TGK: Tensor, asked: _Asked) -> Tensor:
    from flash_attn import flash_attn_varlen_func

    out: Tensor = flash_attn_varlen_func(
        query_THK,
        key_TGK,
        value_TGK,
        asked.query_edge_E,
        asked.edge_E,
        asked.query_longest,
        asked.longest,
        dropout_p=asked.dropout,
        softmax_scale=asked.scale,
        causal=asked.causal,
        window_size=asked.reach,
        softcap=asked.softcap or 0.0,
    )
    return out


_KERNELS: dict[str, _Kernel] = {"sdpa": _sdpa, "torch_varlen": _torch_varlen, "flash_attention_2": _flash}


def _attention_dropout(config: Any) -> float:
    names = ("attention_dropout", "attention_probs_dropout_prob")
    return max(float(getattr(config, name, None) or 0.0) for name in names)


def _has_torch_varlen() -> bool:
    """It came with torch 2.10, and learnt windows and shared heads later."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return {"scale", "window_size", "enable_gqa"} <= set(inspect.signature(varlen_attn).parameters)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
