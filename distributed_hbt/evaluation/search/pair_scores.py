"""The score of a query and a passage: one definition, whatever finds the pair."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

GATHERED_VALUES = 1 << 18
"""Float32 values that are gathered at once: 1 MiB, so that they stay in a core's cache."""


def pair_scores(query_QD: Floats, passage_ND: Floats, query_P: Integers, passage_P: Integers) -> Floats:
    """score_P: the float32 scalar product of query `query_P[i]` and passage `passage_P[i]`.

    Every pair is a scalar product of its own over contiguous rows. A matrix product may add in another
    order at its edges, so that a copy of a passage scores differently in the last bit; here equal vectors
    have equal scores, bit for bit, as those of `passage_D @ query_D` are. Fastest where query_P is sorted.
    """
    score_P = np.empty(len(query_P), np.float32)
    size = max(1, GATHERED_VALUES // query_QD.shape[1])
    gathered_BD = np.empty((min(size, len(query_P)), query_QD.shape[1]), np.float32)
    for start, stop in _runs(query_P, size):
        part_BD = gathered_BD[: stop - start]
        np.take(passage_ND, passage_P[start:stop], axis=0, out=part_BD, mode="clip")
        np.vecdot(part_BD, query_QD[query_P[start]], out=score_P[start:stop])
    return score_P


def _runs(query_P: Integers, size: int) -> list[tuple[int, int]]:
    """[start, stop) of neighbours with one query, at most `size` long."""
    changes = np.flatnonzero(query_P[1:] != query_P[:-1]) + 1
    edges = [0, *changes.tolist(), len(query_P)]
    return [
        (start, min(start + size, stop))
        for first, stop in zip(edges, edges[1:], strict=False)
        for start in range(first, stop, size)
    ]
