"""Exact search: every query against every candidate, in blocks of queries.

Candidates stand in ascending order of doc_id, so that the lower column wins a tie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

BLOCK_SCORES = 4_000_000
"""Scores held at once; the sort needs about 30 bytes for each."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates in ascending order of doc_id, with their embeddings [N, D] and languages."""

    doc_ids: tuple[str, ...]
    embedding_ND: Floats
    languages: tuple[str, ...]

    def columns_of(self, languages: Sequence[str]) -> Integers:
        """Positions of the candidates in these languages, ascending."""
        chosen = set(languages)
        return np.array([i for i, language in enumerate(self.languages) if language in chosen], np.int64)


def build_pool(doc_ids: Sequence[str], embedding_ND: Floats, languages: Sequence[str]) -> Pool:
    """The pool of candidates given in any order."""
    order = sorted(range(len(doc_ids)), key=doc_ids.__getitem__)
    return Pool(tuple(doc_ids[i] for i in order), embedding_ND[order], tuple(languages[i] for i in order))


def score_blocks(query_QD: Floats, candidate_ND: Floats) -> Iterator[tuple[int, Floats]]:
    """(first query, scores [B, N]) for all queries; memory is bounded by BLOCK_SCORES."""
    size = max(1, BLOCK_SCORES // max(1, len(candidate_ND)))
    for start in range(0, len(query_QD), size):
        yield start, query_QD[start : start + size] @ candidate_ND.T


def rank(scores_BN: Floats) -> Integers:
    """Columns [B, N] from the best score down; of equal scores the lower column first.

    Score and column in one integer: any sort of distinct integers is stable, and this one is three times
    as fast as a stable sort of the scores.
    """
    keys_BN = (-_ordinal(scores_BN) << 32) | np.arange(scores_BN.shape[1], dtype=np.int64)
    keys_BN.sort(axis=1)
    return keys_BN & 0xFFFFFFFF


def ranks_of_columns(order_BN: Integers) -> Integers:
    """Rank, from 1, of every column [B, N]: the inverse of `rank`."""
    ranks_BN = np.empty_like(order_BN)
    places = np.broadcast_to(np.arange(1, order_BN.shape[1] + 1), order_BN.shape)
    np.put_along_axis(ranks_BN, order_BN, places, axis=1)
    return ranks_BN


def strictly_decreasing(scores_N: Floats) -> Floats:
    """Non-increasing scores, each lowered by as few float32 steps as make all of them differ.

    trec_eval reads scores as float32 and orders equal ones by descending doc_id, other tools ascending:
    only without ties do all of them see the ranking that is written.
    """
    place_N = np.arange(len(scores_N), dtype=np.int64)
    ordinal_N = np.minimum.accumulate(_ordinal(scores_N) + place_N) - place_N
    bits_N = np.where(ordinal_N >= 0, ordinal_N, -ordinal_N | 0x80000000).astype(np.uint32)
    return bits_N.view(np.float32)


def _ordinal(scores: Floats) -> Integers:
    """The position of each float32 among all float32 values; both zeros are 0."""
    bits = np.ascontiguousarray(scores).view(np.int32).astype(np.int64)
    return np.where(bits >= 0, bits, -(bits & 0x7FFFFFFF))
