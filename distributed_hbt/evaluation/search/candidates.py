"""Passages that may be among the best of some queries, found by approximate scores."""

import numpy as np

from distributed_hbt.evaluation.search.approximation import Block
from distributed_hbt.evaluation.search.bounds import Doubles, Margins
from distributed_hbt.evaluation.search.float_order import from_ordinal, ordinal
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers

CANDIDATE_BYTES = 64
"""Memory of a candidate while candidates are compared: row, column and value, before and after, and order."""

_ROW = 1 << 34
"""More than the ordinals of all float32 values."""


class Candidates:
    """Those of one chunk for the queries `rows`: every passage that could have a score of `limit_R`.

    The limits rise on the way: k passages that surely have a score rule out all that surely have a lower one.
    """

    def __init__(self, margins: Margins, rows: slice, k: int, limit_R: Floats) -> None:
        self._margins = margins
        self._rows = rows
        self._k = k
        self._found: list[tuple[Integers, Integers, Floats]] = []
        self._many = 2 * k * len(limit_R)
        self.size = 0
        self.raise_limit(limit_R.astype(np.float64))

    @property
    def limited(self) -> bool:
        """Whether anything rules passages out yet."""
        return bool((self._limit_R > -np.inf).all())

    def raise_limit(self, limit_R: Doubles | Floats) -> None:
        self._limit_R = limit_R
        self._floor_R = self._margins.floor(limit_R, self._rows)

    def add(self, block: Block, columns: slice) -> None:
        """The passages of a block."""
        width = columns.stop - columns.start
        position_P = block.reaching(self._floor_R)
        row_P = position_P // width
        column_P = position_P - row_P * width + columns.start
        self._found.append((row_P.astype(np.int32), column_P.astype(np.int32), block.values(position_P)))
        self.size += len(row_P)
        if self.size > self._many:
            self.tighten()

    def tighten(self) -> None:
        """Let go of candidates that others rule out."""
        row_P, column_P, value_P = self._taken()
        kth_R = self._margins.least(self._kth_values(row_P, value_P), self._rows)
        self.raise_limit(np.maximum(self._limit_R, kth_R))
        kept_P = value_P >= self._floor_R[row_P]
        self._found = [(row_P[kept_P], column_P[kept_P], value_P[kept_P])]
        self.size = int(kept_P.sum())
        self._many = max(self._many, 2 * self.size)

    def take(self) -> tuple[Integers, Integers]:
        """(row_P, column_P) of all, rows ascending; none are left."""
        row_P, column_P, _ = self._taken()
        order_P = row_P.astype(np.uint16).argsort(kind="stable")  # a radix sort, being one of 16 bits
        return row_P[order_P].astype(np.int64), column_P[order_P].astype(np.int64)

    def _taken(self) -> tuple[Integers, Integers, Floats]:
        parts = list(zip(*self._found, strict=True)) or [[np.empty(0, t)] for t in ("i4", "i4", "f4")]
        self._found, self.size = [], 0
        row_P, column_P, value_P = (np.concatenate(part) for part in parts)
        return row_P, column_P, value_P

    def _kth_values(self, row_P: Integers, value_P: Floats) -> Floats:
        """The k-th best value of every query, -inf where there are fewer."""
        place_P = row_P * np.int64(_ROW) - ordinal(value_P)
        place_P.sort()
        start_R = np.searchsorted(place_P, np.arange(len(self._limit_R) + 1) * _ROW - _ROW // 2)
        kth_R = start_R[:-1] + self._k - 1
        enough_R = kth_R < start_R[1:]
        values_R = np.full(len(enough_R), -np.inf, np.float32)
        row_R = np.flatnonzero(enough_R)
        values_R[row_R] = from_ordinal(row_R * _ROW - place_P[kth_R[row_R]])
        return values_R
