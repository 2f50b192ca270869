"""Scores to be beaten."""

from dataclasses import dataclass

import numpy as np

from distributed_hbt.evaluation.search.pair_scores import Floats, Integers


@dataclass(frozen=True, slots=True)
class Thresholds:
    """R scores a query, [Q, R]; `score_QR` is +inf where a query has fewer.

    A passage beats a threshold with a higher score, or with an equal one and a key below `key_QR`. The
    passage with the key `itself_QR` (-1: none) never does: the threshold is its own score.
    """

    score_QR: Floats
    key_QR: Integers
    itself_QR: Integers

    def check(self, num_queries: int) -> None:
        """Raises ValueError for other shapes than [Q, R], and for a score that is NaN."""
        shapes = [self.score_QR.shape, self.key_QR.shape, self.itself_QR.shape]
        if len(shapes[0]) != 2 or shapes != [(num_queries, shapes[0][1])] * 3:
            raise ValueError(f"thresholds of {num_queries} queries have one shape [Q, R], not {shapes}")
        if np.isnan(self.score_QR).any():
            raise ValueError("a threshold is NaN")

    def of(self, rows: slice) -> "Limits":
        """Those of some queries that a passage could beat."""
        score_RR = self.score_QR[rows]
        at = row_T, column_T = np.nonzero(score_RR < np.inf)
        return Limits(row_T, column_T, score_RR[at], self.key_QR[rows][at], self.itself_QR[rows][at])


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds as a list, by query: limit t is threshold column_T[t] of query row_T[t]."""

    row_T: Integers
    column_T: Integers
    score_T: Floats
    key_T: Integers
    itself_T: Integers

    def __len__(self) -> int:
        return len(self.row_T)
