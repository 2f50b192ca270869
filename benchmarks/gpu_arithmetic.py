"""What benchmarks/gpu.py counts with: shapes of decoders, FLOPs, peak rates, memory, lengths of texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distributed_hbt.planner.gpus import kind_of_device
from distributed_hbt.planner.texts import PASSAGE_QUANTILES, QUERY_QUANTILES, Lengths, sample_lengths

__all__ = ["PASSAGE_QUANTILES", "QUERY_QUANTILES", "Lengths", "sample_lengths"]

VOCABULARY = 151_936
LORA_RANK = 16


@dataclass(frozen=True)
class Shape:
    """A decoder with grouped heads and a gated feed-forward part."""

    width: int
    layers: int
    heads: int
    shared_heads: int
    head_width: int
    inner: int

    @property
    def parameters(self) -> int:
        """Without embeddings, norms and head."""
        attention = 2 * self.width * self.head_width * (self.heads + self.shared_heads)
        return self.layers * (attention + 3 * self.width * self.inner)

    @property
    def embedding_parameters(self) -> int:
        return VOCABULARY * self.width

    @property
    def lora_parameters(self) -> int:
        """Of adapters on all linear modules."""
        heads, shared = self.heads * self.head_width, self.shared_heads * self.head_width
        attention = 2 * (self.width + heads) + 2 * (self.width + shared)
        return self.layers * LORA_RANK * (attention + 3 * (self.width + self.inner))

    def architecture(self) -> dict[str, object]:
        """As model.architecture."""
        return {
            "model_type": "qwen3",
            "vocab_size": VOCABULARY,
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.shared_heads,
            "head_dim": self.head_width,
            "max_position_embeddings": 32_768,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000},
        }


SHAPES = {
    "0.6B": Shape(width=1_024, layers=28, heads=16, shared_heads=8, head_width=128, inner=3_072),
    "4B": Shape(width=2_560, layers=36, heads=32, shared_heads=8, head_width=128, inner=9_728),
    "8B": Shape(width=4_096, layers=36, heads=32, shared_heads=8, head_width=128, inner=12_288),
}
"""Of Qwen3."""


def peak_teraflops(device: str) -> float | None:
    """By the name that CUDA gives a device; None for one that is not in the table."""
    kind = kind_of_device(device)
    return None if kind is None else kind.bfloat16_teraflops


def training_flops(shape: Shape, lengths: Sequence[int] | Lengths, *, lora: bool) -> float:
    """FLOPs that a step over these texts needs: nothing recomputed, no padding, all layers for all tokens.

    6 a parameter and token, 4 with LoRA, whose frozen weights need no gradient; adapters are not counted.
    Attention: 2 * layers * heads * head width * L * L in the forward of a causal text of L tokens (half of
    what a bidirectional one takes), and twice that in the backward.
    """
    length_B = np.asarray(lengths, dtype=np.float64)
    products = (4 if lora else 6) * shape.parameters * length_B.sum()
    attention = 2 * shape.layers * shape.heads * shape.head_width * (length_B**2).sum()
    return float(products + 3 * attention)


def utilisation(flops: float, seconds: float, device: str) -> float | None:
    """MFU: the share of the device's peak; None where that is not known."""
    peak = peak_teraflops(device)
    return None if peak is None else flops / seconds / (peak * 1e12)


def activation_bytes(shape: Shape, *, recompute: bool) -> int:
    """Of one token, kept for the backward in bfloat16: roughly, to see what fits."""
    if recompute:
        return 2 * shape.layers * shape.width
    attention = 3 * shape.head_width * (shape.heads + shape.shared_heads)
    return 2 * shape.layers * (8 * shape.width + attention + 4 * shape.inner)


def weight_bytes(shape: Shape, *, lora: bool) -> int:
    """Weights, gradients and AdamW of one process that partitions nothing: 18 bytes a trained parameter (two
    in bfloat16, master, two moments, gradient in float32), 2 a frozen one."""
    whole = shape.parameters + shape.embedding_parameters
    return 2 * whole + 18 * shape.lora_parameters if lora else 18 * whole
