"""How many passages beat given scores."""

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.search.approximation import Block, Product
from distributed_hbt.evaluation.search.bounds import Margins
from distributed_hbt.evaluation.search.chunk import Chunk
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers, pair_scores
from distributed_hbt.evaluation.search.thresholds import Limits

UNDECIDED = 1 / 16
"""Where a larger share of the passages is too close to a limit, a finer product comes before the scores."""


class Above:
    """count_T: how many passages of one chunk beat each limit of the queries `rows`."""

    def __init__(
        self, limits: Limits, query_RD: Floats, rows: slice, chunk: Chunk, finer: Product | None
    ) -> None:
        self._limits = limits
        self._query_RD = query_RD
        self._rows = rows
        self._chunk = chunk
        self._finer = finer
        self._itself_T = chunk.columns_of(limits.itself_T)
        self.count_T: Integers = np.zeros(len(limits), np.int64)

    def add(self, block: Block, margins: Margins, columns: slice) -> None:
        """The passages of a block; few limits at once, so that memory is bounded."""
        size = max(1, len(self._query_RD) // 2)
        for start in range(0, len(self._limits), size):
            limit_T = np.arange(start, min(start + size, len(self._limits)))
            self._add(limit_T, self._limits.row_T[limit_T], block, margins, columns, self._finer)

    def _add(
        self,
        limit_T: Integers,
        row_T: Integers,
        block: Block,
        margins: Margins,
        columns: slice,
        finer: Product | None,
    ) -> None:
        """Some limits, which stand in the rows `row_T` of the block."""
        sure_T, place_P, column_P = self._compare(limit_T, row_T, block, margins, columns)
        if finer is not None:
            width = columns.stop - columns.start
            close_T = np.bincount(place_P, minlength=len(limit_T)) > UNDECIDED * width
            self._refine(limit_T[close_T], columns, finer)
            sure_T[close_T] = 0
            decided_P = ~close_T[place_P]
            place_P, column_P = place_P[decided_P], column_P[decided_P]
        self.count_T[limit_T] += sure_T
        beaten_P = self._beaten(limit_T[place_P], column_P)
        self.count_T[limit_T] += np.bincount(place_P[beaten_P], minlength=len(limit_T))

    def _refine(self, limit_T: Integers, columns: slice, finer: Product) -> None:
        if len(limit_T):
            prepared = self._chunk.prepared(finer)
            block = prepared.block(self._rows.start + self._limits.row_T[limit_T], columns)
            self._add(limit_T, np.arange(len(limit_T)), block, prepared.margins, columns, None)

    def _compare(
        self, limit_T: Integers, row_T: Integers, block: Block, margins: Margins, columns: slice
    ) -> tuple[Integers, Integers, Integers]:
        """How many passages surely beat each limit; and those that may: places in limit_T, and columns."""
        query_T = self._rows.start + self._limits.row_T[limit_T]
        score_T, width = self._limits.score_T[limit_T], columns.stop - columns.start
        ceiling_T = margins.ceiling(score_T, query_T)
        sure_T, position_P = block.around(row_T, margins.floor(score_T, query_T), ceiling_T)
        itself_T = self._itself_T[limit_T] - columns.start
        here_T = np.flatnonzero((itself_T >= 0) & (itself_T < width))
        value_T = block.values(row_T[here_T] * width + itself_T[here_T])
        sure_T[here_T] -= value_T > ceiling_T[here_T]
        place_P = position_P // width
        return sure_T, place_P, position_P - place_P * width + columns.start

    def _beaten(self, limit_P: Integers, column_P: Integers) -> NDArray[np.bool_]:
        """By their scores, whether limits are beaten by passages."""
        row_P, limit_score_P = self._limits.row_T[limit_P], self._limits.score_T[limit_P]
        score_P = pair_scores(self._query_RD, self._chunk.passage_ND, row_P, column_P)
        tie_P = (score_P == limit_score_P) & (self._chunk.key_N[column_P] < self._limits.key_T[limit_P])
        beaten_P: NDArray[np.bool_] = ((score_P > limit_score_P) | tie_P) & (
            column_P != self._itself_T[limit_P]
        )
        return beaten_P
