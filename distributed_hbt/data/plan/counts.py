"""Independent multinomial draws, one per step, whose running totals can be asked for at any step."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from distributed_hbt.data.plan.index import Int64

_HYPERGEOMETRIC_LIMIT = 1_000_000_000
_MAX_LEVELS = 20


@dataclass(frozen=True, eq=False)
class MultinomialSeries:
    """At every step, `trials` draws over K categories; the steps are independent.

    Steps are taken in blocks of 2^levels. A block's total is one multinomial draw; the total of a node
    is split between its halves by a multivariate hypergeometric draw, down to single steps. The joint
    distribution is exactly that of independent draws, and any step, with the total of all before it, is
    reached in O(levels + step / 2^levels) draws. Every draw has its own generator, keyed by its node.
    """

    key: int
    """64 bits; see `keyed.fold`."""
    probabilities: npt.NDArray[np.float64]
    """float64[K], positive, with sum 1."""
    trials: int
    levels: int = field(init=False)

    def __post_init__(self) -> None:
        if not 1 <= self.trials < _HYPERGEOMETRIC_LIMIT:
            raise ValueError(f"trials {self.trials} is not between 1 and {_HYPERGEOMETRIC_LIMIT - 1}")
        if not np.isclose(self.probabilities.sum(), 1.0) or (self.probabilities <= 0).any():
            raise ValueError(f"probabilities {self.probabilities} are not positive with sum 1")
        fitting = ((_HYPERGEOMETRIC_LIMIT - 1) // self.trials).bit_length() - 1
        object.__setattr__(self, "levels", min(_MAX_LEVELS, fitting))

    def at(self, step: int) -> Int64:
        """int64[K]: the draws of one step; sum `trials`."""
        return self.window(step)[1]

    def before(self, step: int) -> Int64:
        """int64[K]: the draws of all steps below `step`; sum `trials * step`."""
        return self.window(step)[0]

    def window(self, step: int) -> tuple[Int64, Int64]:
        """(before(step), at(step)) in one descent."""
        if len(self.probabilities) == 1:
            return np.array([self.trials * step]), np.array([self.trials])
        block = step >> self.levels
        before = np.zeros(len(self.probabilities), dtype=np.int64)
        for earlier in range(block):
            before += self._block_total(earlier)
        total = self._block_total(block)
        for level in range(self.levels, 0, -1):
            left = self._left_half(total, level, step >> level)
            if step >> (level - 1) & 1:
                before += left
                total = total - left
            else:
                total = left
        return before, total

    def _block_total(self, block: int) -> Int64:
        draws = self._generator(self.levels + 1, block).multinomial(
            self.trials << self.levels, self.probabilities
        )
        return np.asarray(draws, dtype=np.int64)

    def _left_half(self, total: Int64, level: int, node: int) -> Int64:
        """The share of the first half in the `total` of a node that spans 2^level steps."""
        draws = self._generator(level, node).multivariate_hypergeometric(
            total, self.trials << (level - 1), method="marginals"
        )
        return np.asarray(draws, dtype=np.int64)

    def _generator(self, level: int, node: int) -> np.random.Generator:
        key = np.array([self.key, (level << 56) | node], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key))
