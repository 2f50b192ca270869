"""Passages that may be among the best of some queries, found by approximate scores."""

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.search.approximation import Block
from distributed_hbt.evaluation.search.bounds import Doubles, Margins
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers

Places = NDArray[np.int32]


class Candidates:
    """Those of one chunk for the queries `rows`: every passage that could have a score of the limit.

    The limit is that of the k best so far, `limit_R`. Before there are k, it rises with the passages seen: k
    that surely have a score rule out all that surely have a lower one.
    """

    def __init__(self, margins: Margins, rows: slice, k: int, limit_R: Floats) -> None:
        self._margins = margins
        self._rows = rows
        self._k = k
        self._limited = bool(np.isfinite(limit_R).all())
        self._leaders: Block | None = None
        self._clear()
        self.raise_limit(limit_R)

    def _clear(self) -> None:
        none = np.empty(0, np.int32)
        self._found: list[tuple[Places, Places, Floats]] = [(none, none, np.empty(0, np.float32))]
        self.size = 0

    def raise_limit(self, limit_R: Floats | Doubles) -> None:
        """Rule out what scores below."""
        self._limit_R = limit_R
        self._floor_R = self._margins.floor(limit_R, self._rows)

    def add(self, block: Block, columns: slice) -> None:
        """The passages of the next block."""
        if not self._limited:
            self._follow(block, columns.stop)
        width = columns.stop - columns.start
        position_P = block.reaching(self._floor_R)
        row_P = position_P // width
        column_P = position_P - row_P * width + columns.start
        self._found.append((row_P.astype(np.int32), column_P.astype(np.int32), block.values(position_P)))
        self.size += len(row_P)

    def _follow(self, block: Block, num_seen: int) -> None:
        """Raise the limit to what k of the passages seen surely have."""
        self._leaders = block.best(self._k, self._leaders)
        if num_seen >= self._k:
            least_R = self._margins.least(self._leaders.lowest(), self._rows)
            self.raise_limit(np.maximum(self._limit_R, least_R))

    def shrink(self) -> None:
        """Let go of those that passages seen later rule out."""
        row_P, column_P, value_P = map(np.concatenate, zip(*self._found, strict=True))
        kept_P = value_P >= self._floor_R[row_P]
        self._found = [(row_P[kept_P], column_P[kept_P], value_P[kept_P])]
        self.size = len(self._found[0][0])

    def take(self) -> tuple[Integers, Integers]:
        """(row_P, column_P) of all, rows ascending; none are left."""
        self.shrink()
        row_P, column_P, _ = self._found[0]
        self._clear()
        order_P = row_P.astype(np.uint16).argsort(kind="stable")  # a radix sort, being one of 16 bits
        return row_P[order_P].astype(np.int64), column_P[order_P].astype(np.int64)
