"""The best passages of some queries, by their scores."""

import numpy as np

from distributed_hbt.evaluation.full_ranking import rank
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers

NO_KEY = np.iinfo(np.int64).max


class Best:
    """score_RW and key_RW: best first, ties by the lower key; where a query has fewer, -inf and NO_KEY.

    At most `most` passages a query are merged at once, which bounds the memory of a merge.
    """

    def __init__(self, num_queries: int, k: int, most: int) -> None:
        self._k = k
        self._most = most
        self.score_RW: Floats = np.empty((num_queries, 0), np.float32)
        self.key_RW: Integers = np.empty((num_queries, 0), np.int64)

    def limits(self) -> Floats:
        """[R]: what a passage must score at least to be among the best; -inf where there are no k yet."""
        if self.score_RW.shape[1] < self._k:
            return np.full(len(self.score_RW), -np.inf, np.float32)
        return self.score_RW[:, -1]

    def merge(self, row_P: Integers, score_P: Floats, key_P: Integers) -> None:
        """Take passages that may be among the best; row_P ascending."""
        chosen_P = score_P >= self.limits()[row_P]
        row_P, score_P, key_P = row_P[chosen_P], score_P[chosen_P], key_P[chosen_P]
        place_P = np.arange(len(row_P)) - np.searchsorted(row_P, row_P)
        for first in range(0, int(place_P.max(initial=-1)) + 1, self._most):
            now_P = (place_P >= first) & (place_P < first + self._most)
            self._merge(row_P[now_P], place_P[now_P] - first, score_P[now_P], key_P[now_P])

    def _merge(self, row_P: Integers, place_P: Integers, score_P: Floats, key_P: Integers) -> None:
        """place_P counts a row's passages from 0."""
        old, new = self.score_RW.shape[1], int(place_P.max()) + 1
        row_A, local_P = np.unique(row_P, return_inverse=True)
        score_AW = np.full((len(row_A), old + new), -np.inf, np.float32)
        key_AW = np.full((len(row_A), old + new), NO_KEY, np.int64)
        score_AW[:, :old], key_AW[:, :old] = self.score_RW[row_A], self.key_RW[row_A]
        score_AW[local_P, old + place_P], key_AW[local_P, old + place_P] = score_P, key_P
        kept = min(self._k, old + new)
        self._widen(kept)
        self.score_RW[row_A], self.key_RW[row_A] = _leading(score_AW, key_AW, kept)

    def _widen(self, width: int) -> None:
        missing = ((0, 0), (0, width - self.score_RW.shape[1]))
        self.score_RW = np.pad(self.score_RW, missing, constant_values=-np.inf)
        self.key_RW = np.pad(self.key_RW, missing, constant_values=NO_KEY)


def _leading(score_RW: Floats, key_RW: Integers, k: int) -> tuple[Floats, Integers]:
    """The k best, ties by the lower key: `rank` prefers the lower column, so they are put in order by key."""
    by_key_RW = key_RW.argsort(axis=1)
    score_RW = np.take_along_axis(score_RW, by_key_RW, axis=1)
    order_RK = rank(score_RW)[:, :k]
    by_key_RK = np.take_along_axis(by_key_RW, order_RK, axis=1)
    return np.take_along_axis(score_RW, order_RK, axis=1), np.take_along_axis(key_RW, by_key_RK, axis=1)
