"""Approximate scores by torch's bfloat16 matrix product, on processors that have instructions for it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed_hbt.evaluation.search.array_block import ArrayBlock, Codes
from distributed_hbt.evaluation.search.bounds import (
    Doubles,
    Margins,
    Rows,
    float32_below,
    norms,
    rounding,
    underflow,
)
from distributed_hbt.evaluation.search.pair_scores import Floats

ROUNDED_VALUES = 1 << 16
"""Values that are rounded at once: they stay in a core's cache on the way."""

PROCESSOR = Path("/proc/cpuinfo")


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 by instructions of its own, faster than float32."""
    return PROCESSOR.is_file() and "avx512_bf16" in PROCESSOR.read_text()


class BFloat16Product:
    """Passages are taken relative to a centre: the embeddings of a model tend to point all one way, and what
    differs between them is then smaller, and rounded with a smaller error."""

    def __init__(self, query_QD: Floats, centre_D: Floats) -> None:
        self._norm_Q: Doubles = norms(query_QD)
        self._centre_D = centre_D
        self._centre_norm = float(norms(centre_D[None])[0])
        self._base_Q: Doubles = (query_QD @ centre_D).astype(np.float64)
        self._query_QD, _, self._lost_Q = _rounded(query_QD, np.zeros_like(centre_D))

    def prepare(self, passage_ND: Floats) -> "BFloat16Passages":
        rounded_ND, norm_N, lost_N = _rounded(passage_ND, self._centre_D)
        return BFloat16Passages(self._query_QD, rounded_ND, self._margins(norm_N.max(), lost_N.max()))

    def _margins(self, norm: float, lost: float) -> Margins:
        """For passages whose difference to the centre has at most this norm, and lost at most this much.

        With r = p - c and ^ for rounded: q.p - q.c - ^q.^r = q.(r - ^r) + (q - ^q).^r.
        """
        dimension = len(self._centre_D)
        kept = norm + lost
        error_Q = self._norm_Q * lost + self._lost_Q * kept
        # Three float32 sums: the score itself, q.c and ^q.^r; what `rounding` is too large covers p - c.
        sums_Q = self._norm_Q * (norm + 2 * self._centre_norm) + (self._norm_Q + self._lost_Q) * kept
        error_Q += rounding(dimension) * sums_Q
        error_Q += underflow(dimension) * (1 + self._norm_Q) * (1 + norm)
        return Margins(self._base_Q, error_Q, bfloat16_below)


@dataclass(frozen=True, slots=True)
class BFloat16Passages:
    query_QD: Tensor
    passage_ND: Tensor
    margins: Margins

    def block(self, rows: Rows, columns: slice) -> "BFloat16Block":
        value_RB = self.query_QD[rows] @ self.passage_ND[columns].T
        return BFloat16Block(_ordered(value_RB.view(torch.int16).numpy()))


class BFloat16Block(ArrayBlock):
    """Values as 16-bit integers in their order; numpy has no bfloat16."""

    @staticmethod
    def encoded(value_P: Floats) -> Codes:
        return _ordered((value_P.view(np.int32) >> 16).astype(np.int16))

    @staticmethod
    def decoded(code_P: Codes) -> Floats:
        bits_P = _ordered(code_P.copy()).view(np.uint16)
        return (bits_P.astype(np.uint32) << 16).view(np.float32)


def _ordered(bits: NDArray[np.int16]) -> NDArray[np.int16]:
    """Bits of bfloat16 values <-> integers in the order of the values, in place; -0 comes before 0."""
    negative = bits >> 15
    negative &= 0x7FFF
    bits ^= negative
    return bits


def bfloat16_below(number_R: Doubles) -> Floats:
    """The greatest bfloat16 values, as float32, that are not above; for 0 it is -0, which 0 is not below."""
    bits_R = float32_below(number_R).view(np.int32)
    cut_R = bits_R & ~0xFFFF
    # Cutting goes towards zero: a negative value that lost something goes on to its neighbour.
    cut_R += ((bits_R < 0) & (bits_R != cut_R)).astype(np.int32) << 16
    below_R = cut_R.view(np.float32)
    return np.where(below_R == 0, np.float32(-0.0), below_R)


def _rounded(vector_ND: Floats, centre_D: Floats) -> tuple[Tensor, Doubles, Doubles]:
    """Vectors minus the centre as bfloat16 [N, D], their norms before, and the norms of what they lost."""
    rows, dimension = vector_ND.shape
    size = max(1, ROUNDED_VALUES // dimension)
    high_ND = np.empty((rows, dimension), np.int16)
    norm_N, lost_N = np.empty(rows), np.empty(rows)
    for start in range(0, rows, size):
        part = slice(start, start + size)
        difference_BD = vector_ND[part] - centre_D
        norm_N[part] = norms(difference_BD)
        bits_BD = difference_BD.view(np.uint32) + np.uint32(0x8000)
        bits_BD &= np.uint32(0xFFFF0000)
        high_ND[part] = bits_BD.view(np.int16)[:, 1::2]  # little endian, as all these processors are
        difference_BD -= bits_BD.view(np.float32)
        lost_N[part] = norms(difference_BD)
    return torch.from_numpy(high_ND).view(torch.bfloat16), norm_N, lost_N
