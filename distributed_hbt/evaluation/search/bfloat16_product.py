"""Approximate scores by torch's bfloat16 matrix product, on processors that have instructions for it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distributed_hbt.evaluation.search.bounds import (
    Doubles,
    Margins,
    Rows,
    float32_below,
    norms,
    rounding,
    underflow,
)
from distributed_hbt.evaluation.search.float_order import from_ordinal, ordinal
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers

Codes = NDArray[np.int16]

ROUNDED_VALUES = 1 << 17
"""Values that are rounded at once: they stay in a core's cache on the way."""


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())


class BFloat16Product:
    """Passages are taken relative to a centre: the embeddings of a model tend to point all one way, and what
    differs between them is then smaller, and rounded with a smaller error."""

    def __init__(self, query_QD: Floats, centre_D: Floats) -> None:
        self.norm_Q: Doubles = norms(query_QD, "query")
        self.centre_D = centre_D
        self.centre_norm = float(norms(centre_D[None], "the centre of the passages")[0])
        self.base_Q: Doubles = (query_QD @ centre_D).astype(np.float64)
        self.query_QD, _, self.lost_Q = _rounded(query_QD, np.zeros_like(centre_D))

    def prepare(self, passage_ND: Floats) -> "BFloat16Passages":
        passage, norm_N, lost_N = _rounded(passage_ND, self.centre_D)
        return BFloat16Passages(self.query_QD, passage, self._margins(norm_N.max(), lost_N.max()))

    def _margins(self, norm: float, lost: float) -> Margins:
        """For passages whose difference to the centre has at most this norm, and lost this much of it.

        With r = p - c and ^ for rounded: q.p - q.c - ^q.^r = q.(r - ^r) + (q - ^q).^r.
        """
        dimension = len(self.centre_D)
        kept = norm + lost
        error_Q = self.norm_Q * lost + self.lost_Q * kept
        # Three float32 sums: the score itself, q.c and ^q.^r; the +16 in `rounding` covers p - c.
        sums_Q = self.norm_Q * (norm + 2 * self.centre_norm) + (self.norm_Q + self.lost_Q) * kept
        error_Q += rounding(dimension) * sums_Q
        error_Q += underflow(dimension) * (1 + self.norm_Q) * (1 + norm)
        return Margins(self.base_Q, error_Q, bfloat16_below)


@dataclass(frozen=True, slots=True)
class BFloat16Passages:
    query_QD: Tensor
    passage_ND: Tensor
    margins: Margins

    def block(self, rows: Rows, columns: slice) -> "BFloat16Block":
        value_RB = self.query_QD[rows] @ self.passage_ND[columns].T
        return BFloat16Block(value_RB.view(torch.int16).numpy())


class BFloat16Block:
    """Values as their bits: int16 numbers in the order of the values, but for the negative ones."""

    def __init__(self, bits_RB: Codes) -> None:
        self.bits_RB = bits_RB

    def reaching(self, floor_R: Floats) -> Integers:
        floor_R = _codes(floor_R)
        return np.flatnonzero(self._comparable(floor_R) >= floor_R[:, None])

    def around(self, row_T: Integers, floor_T: Floats, ceiling_T: Floats) -> tuple[Integers, Integers]:
        floor_T, ceiling_T = _codes(floor_T), _codes(ceiling_T)
        value_TB = self._comparable(floor_T)[row_T]
        above_TB = value_TB > ceiling_T[:, None]
        between_TB = (value_TB >= floor_T[:, None]) > above_TB
        return np.count_nonzero(above_TB, axis=1), np.flatnonzero(between_TB)

    def values(self, position_P: Integers) -> Floats:
        bits_P = self.bits_RB.reshape(-1)[position_P].view(np.uint16)
        return (bits_P.astype(np.uint32) << 16).view(np.float32)

    def _comparable(self, floor_R: Codes) -> Codes:
        """Negative values are below any positive floor, in whatever order they are."""
        return self.bits_RB if floor_R.min(initial=1) > 0 else self._ordered_RB

    @cached_property
    def _ordered_RB(self) -> Codes:
        return np.where(self.bits_RB < 0, -(self.bits_RB & 0x7FFF), self.bits_RB)


def bfloat16_below(number_R: Doubles) -> Floats:
    """The greatest bfloat16 values, as float32, that are not above."""
    return from_ordinal(ordinal(float32_below(number_R)) >> 16 << 16)


def _codes(value_R: Floats) -> Codes:
    """The places of bfloat16 values among all of them; both zeros are 0."""
    return (ordinal(value_R) >> 16).astype(np.int16)


def _rounded(vector_ND: Floats, centre_D: Floats) -> tuple[Tensor, Doubles, Doubles]:
    """Vectors minus the centre as bfloat16 [N, D], their norms before, and the norms of what they lost."""
    rows, dimension = vector_ND.shape
    size = max(1, ROUNDED_VALUES // dimension)
    high_ND = np.empty((rows, dimension), np.int16)
    norm_N, lost_N = np.empty(rows), np.empty(rows)
    for start in range(0, rows, size):
        part = slice(start, start + size)
        difference_BD = vector_ND[part] - centre_D
        norm_N[part] = norms(difference_BD, "a passage less the centre")
        bits_BD = difference_BD.view(np.uint32) + np.uint32(0x8000)
        bits_BD &= np.uint32(0xFFFF0000)
        high_ND[part] = bits_BD.view(np.int16)[:, 1::2]  # little endian, as all these processors are
        difference_BD -= bits_BD.view(np.float32)
        lost_N[part] = norms(difference_BD, "a passage less the centre")
    return torch.from_numpy(high_ND).view(torch.bfloat16), norm_N, lost_N
