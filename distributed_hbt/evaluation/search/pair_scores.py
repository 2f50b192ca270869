"""The score of a query and a passage: one definition, whatever finds the pair."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

GATHERED_VALUES = 1 << 17
"""Float32 values that are gathered at once: half a MiB, so that they stay in a core's cache."""

RUN = 64
"""Pairs of one query that are worth a step of the loop."""

NEAR_VALUES = 1 << 21
"""Float32 values of passages from which is gathered for one query after another: 8 MiB, a part of the cache
that cores share."""


def pair_scores(query_QD: Floats, passage_ND: Floats, query_P: Integers, passage_P: Integers) -> Floats:
    """score_P: the float32 scalar product of query `query_P[i]` and passage `passage_P[i]`.

    Every pair is a scalar product of its own over contiguous rows. A matrix product may add in another
    order at its edges, so that a copy of a passage scores differently in the last bit; here equal vectors
    have equal scores, bit for bit, as those of `passage_D @ query_D` are.
    """
    order_P, sorted_P = _order(query_P, passage_P, len(query_QD), passage_ND.shape)
    score_P = np.empty(len(query_P), np.float32)
    most = max(1, GATHERED_VALUES // query_QD.shape[1])
    gathered_BD = np.empty((min(most, len(query_P)), query_QD.shape[1]), np.float32)
    passage_P = passage_P[order_P]
    for start, stop in _runs(sorted_P, most):
        part_BD = gathered_BD[: stop - start]
        np.take(passage_ND, passage_P[start:stop], axis=0, out=part_BD, mode="clip")
        part = order_P[start:stop]
        score_P[part] = np.vecdot(part_BD, query_QD[query_P[part[0]]])
    return score_P


def _order(
    query_P: Integers, passage_P: Integers, num_queries: int, shape: tuple[int, ...]
) -> tuple[Integers, Integers]:
    """The order in which to score pairs, and by what it is sorted: by query among passages that are near."""
    per_query = len(query_P) / max(1, num_queries)
    near = max(1, NEAR_VALUES // shape[1], int(RUN * shape[0] / max(1, per_query)))
    place_P = passage_P // near * num_queries + query_P
    if shape[0] // near * num_queries + num_queries < 1 << 16:
        place_P = place_P.astype(np.uint16)  # a radix sort, being one of 16 bits
    order_P = place_P.argsort(kind="stable")
    return order_P, place_P[order_P]


def _runs(place_P: Integers, most: int) -> Iterator[tuple[int, int]]:
    """[start, stop) of equal neighbours, at most `most` long."""
    edges = [0, *(np.flatnonzero(place_P[1:] != place_P[:-1]) + 1).tolist(), len(place_P)]
    for first, last in pairwise(edges):
        for start in range(first, last, most):
            yield start, min(start + most, last)
