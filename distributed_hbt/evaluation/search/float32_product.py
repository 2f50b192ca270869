"""Approximate scores by numpy's float32 matrix product."""

from dataclasses import dataclass

import numpy as np

from distributed_hbt.evaluation.search.array_block import ArrayBlock
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


class Float32Product:
    """On any processor; numpy's product is never slower than torch's, and faster on AMD's."""

    def __init__(self, query_QD: Floats) -> None:
        self._query_QD = query_QD
        self._norm_Q: Doubles = norms(query_QD)

    def prepare(self, passage_ND: Floats) -> "Float32Passages":
        longest = norms(passage_ND).max()
        dimension = passage_ND.shape[1]
        # The value and the score are two float32 sums of the same products.
        error_Q = 2 * rounding(dimension) * self._norm_Q * longest
        error_Q += underflow(dimension) * (1 + self._norm_Q) * (1 + longest)
        margins = Margins(np.zeros_like(error_Q), error_Q, float32_below)
        return Float32Passages(self._query_QD, passage_ND, margins)


@dataclass(frozen=True, slots=True)
class Float32Passages:
    query_QD: Floats
    passage_ND: Floats
    margins: Margins

    def block(self, rows: Rows, columns: slice) -> ArrayBlock:
        return ArrayBlock(self.query_QD[rows] @ self.passage_ND[columns].T)
