"""How far an approximate score may be from the score, and what follows for a limit.

The bounds are proven, not measured: by Cauchy-Schwarz |a . b| <= |a| |b|, and a float32 sum of D products in
any order is wrong by at most D * 2^-24 * sum |a_i b_i| (Higham, Accuracy and Stability, section 3.1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.search.pair_scores import Floats

Doubles = NDArray[np.float64]
Rows = slice | NDArray[np.int64]


def norms(vector_ND: Floats) -> Doubles:
    """norm_N, not below the true Euclidean norms; not finite for vectors that are not, or near 1e19 long."""
    dimension = vector_ND.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        square_N = np.vecdot(vector_ND, vector_ND).astype(np.float64)
    # The last term stands for squares that are too small for float32.
    norm_N: Doubles = np.sqrt(square_N) * (1 + rounding(dimension)) + np.sqrt(dimension) * 2.0**-62
    return norm_N


def rounding(dimension: int) -> float:
    """Relative error of a float32 scalar product: of the sum of the products' absolute values."""
    return (dimension + 16) * 2.0**-24


def underflow(dimension: int) -> float:
    """What products that are too small for float32 can amount to, for norms of 1."""
    return dimension * 2.0**-120


@dataclass(frozen=True, slots=True)
class Margins:
    """The score of query q and any prepared passage is base_Q[q] + value, wrong by at most error_Q[q].

    A value is rounded to one of two neighbours among the numbers that its type can hold; `down` gives the
    greatest of them that is not above a number.
    """

    base_Q: Doubles
    error_Q: Doubles
    down: Callable[[Doubles], Floats]

    def floor(self, limit_R: Doubles | Floats, rows: Rows) -> Floats:
        """A passage with a value below has a score below `limit_R`."""
        return self.down(limit_R - self.base_Q[rows] - self.error_Q[rows])

    def ceiling(self, limit_R: Doubles | Floats, rows: Rows) -> Floats:
        """A passage with a value above has a score above `limit_R`."""
        return -self.down(self.base_Q[rows] - self.error_Q[rows] - limit_R)

    def least(self, value_R: Floats, rows: Rows) -> Doubles:
        """No passage with such a value, or a greater one, has a lower score."""
        before_R = self.down(np.nextafter(value_R, np.float32(-np.inf)).astype(np.float64))
        return self.base_Q[rows] + before_R - self.error_Q[rows]


def float32_below(number_R: Doubles) -> Floats:
    """The greatest float32 values that are not above."""
    rounded_R = number_R.astype(np.float32)
    return np.where(rounded_R > number_R, np.nextafter(rounded_R, np.float32(-np.inf)), rounded_R)
