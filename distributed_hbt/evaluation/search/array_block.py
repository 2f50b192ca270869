"""Blocks of approximate scores in numpy arrays."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.search.pair_scores import Floats, Integers

Codes = NDArray[Any]
"""Values, or integers in the order of the values."""


class ArrayBlock:
    """code_RB are the values; a subclass may keep integers instead that are in the same order."""

    def __init__(self, code_RB: Codes) -> None:
        self.code_RB = code_RB

    @staticmethod
    def encoded(value_P: Floats) -> Codes:
        """The codes of values that the type of the block can hold."""
        return value_P

    @staticmethod
    def decoded(code_P: Codes) -> Floats:
        """The inverse of `encoded`."""
        return code_P

    def reaching(self, floor_R: Floats) -> Integers:
        return np.flatnonzero(self.code_RB >= self.encoded(floor_R)[:, None])

    def around(self, row_T: Integers, floor_T: Floats, ceiling_T: Floats) -> tuple[Integers, Integers]:
        code_TB = self.code_RB[row_T]
        above_TB = code_TB > self.encoded(ceiling_T)[:, None]
        between_TB = (code_TB >= self.encoded(floor_T)[:, None]) > above_TB
        return np.count_nonzero(above_TB, axis=1), np.flatnonzero(between_TB)

    def values(self, position_P: Integers) -> Floats:
        return self.decoded(self.code_RB.reshape(-1)[position_P])

    def best(self, k: int, others: Self | None) -> Self:
        code_RB = self.code_RB
        if others is not None:
            code_RB = np.concatenate([code_RB, others.code_RB], axis=1)
        width = code_RB.shape[1]
        if width > k:
            code_RB = np.partition(code_RB, width - k, axis=1)[:, width - k :]
        return type(self)(code_RB)

    def lowest(self) -> Floats:
        return self.decoded(self.code_RB.min(axis=1))
