"""The cases of benchmarks/gpu.py: what is measured, how it is cut to fit, a row of the table."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu_arithmetic import SHAPES, Shape, activation_bytes, utilisation, weight_bytes

ROOT = Path(__file__).resolve().parents[1]
PEER = "sentence-transformers"
LAYOUTS = ("padded", "sdpa", "torch_varlen", "flash_attention_2", PEER)
SHARE = 0.4
"""Of the memory that weights leave, for activations: the rest is for gradients of layers and fragments."""

TOKENS_PER_TEXT = {256: 250, 512: 300}
"""A query and its passage, to estimate memory."""


@dataclass(frozen=True)
class Case:
    """One row of the table. `seconds` are measured after the warm-up."""

    size: str
    tuning: str
    gradient: str
    layout: str
    passages: int
    rows: int
    seconds: float

    @property
    def shape(self) -> Shape:
        return SHAPES[self.size]

    @property
    def lora(self) -> bool:
        return self.tuning == "lora"

    @property
    def padding_free(self) -> bool:
        return self.layout not in ("padded", PEER)

    def __str__(self) -> str:
        return f"{self.size} {self.tuning} {self.gradient} {self.layout} {self.passages}"


@dataclass(frozen=True)
class Cut:
    """How a step is cut to fit: tokens a chunk, and whether activations are computed again."""

    tokens: int
    recompute: bool


@dataclass(frozen=True)
class Measured:
    """Of all measured steps; `flops` is the sum of what they need."""

    seconds: list[float]
    real_tokens: int
    padded_tokens: int
    flops: float
    peak_bytes: int


def cut_to_fit(case: Case, memory: int) -> Cut | None:
    """The largest chunk, of 16,384 tokens at most, that fits; None where weights alone do not."""
    left = 0.9 * memory - weight_bytes(case.shape, lora=case.lora)
    room = SHARE * left
    kept = activation_bytes(case.shape, recompute=False)
    if room < 1_024 * kept:
        return None
    chunk = 1_024
    while chunk < 16_384 and 2 * chunk * kept <= room:
        chunk *= 2
    whole = case.rows * TOKENS_PER_TEXT[case.passages]
    if case.gradient == "cached" or whole * kept <= room:
        return Cut(chunk, recompute=False)
    layer = kept // case.shape.layers  # what one layer keeps while it is computed again
    if whole * activation_bytes(case.shape, recompute=True) + chunk * layer > room:
        return None
    return Cut(chunk, recompute=True)


def row(case: Case, cut: Cut, measured: Measured, device: str) -> str:
    """Of the table."""
    total = sum(measured.seconds)
    mfu = utilisation(measured.flops, total, device)
    steps = sorted(measured.seconds)
    cells = [
        case.size,
        case.tuning,
        str(case.passages),
        case.gradient + (", recomputed" if cut.recompute else ""),
        case.layout,
        f"{cut.tokens:,}",
        f"{measured.real_tokens / total:,.0f}",
        f"{measured.padded_tokens / measured.real_tokens - 1:.1%}",
        "?" if mfu is None else f"{mfu:.1%}",
        f"{measured.peak_bytes / 2**30:.1f}",
        f"{statistics.median(steps):.2f} ({steps[0]:.2f} to {steps[-1]:.2f}, {len(steps)})",
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = """| model | | passages | gradient | layout | tokens a chunk | real tokens/s | padding | MFU | peak GiB | s/step (range, steps) |
|---|---|---|---|---|---|---|---|---|---|---|"""  # noqa: E501
