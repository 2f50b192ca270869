"""Exact search among passages that come in portions: the best k of every query, and what beats a score."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from distributed_hbt.evaluation.search.approximation import Product
from distributed_hbt.evaluation.search.bounds import norms
from distributed_hbt.evaluation.search.chunk import Chunk
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers
from distributed_hbt.evaluation.search.products import make_products
from distributed_hbt.evaluation.search.query_part import QueryPart
from distributed_hbt.evaluation.search.sizes import PREPARED_BYTES, sizes_for
from distributed_hbt.evaluation.search.thresholds import Thresholds

__all__ = ["StreamingTopK", "Thresholds", "TopK"]

LARGEST_NORM = 2.0**60
"""Longer vectors could have scores that float32 can not hold."""


@dataclass(frozen=True, slots=True)
class TopK:
    """The best K = min(k, all added) of every query, best first, ties by the lower key: scores and keys."""

    score_QK: Floats
    key_QK: Integers


class StreamingTopK:
    """Scalar products of all queries with all passages added, of which only the best are kept.

    A score is that of `pair_scores`, and nothing else decides: the result is the same to the last bit for
    any order and portions of the passages, any `memory_mb`, and with a GPU or without. A blocked matrix
    product of low precision only rules out passages that could not be among the best even if it was wrong
    by its proven bound (`bounds`); the scores of the others are computed.
    """

    def __init__(
        self,
        query_QD: Floats,
        k: int,
        *,
        memory_mb: int = 256,
        device: str = "cpu",
        thresholds: Thresholds | None = None,
    ) -> None:
        """`memory_mb` bounds what a search takes beside queries, passages and result, and as much again on a
        GPU. `device` is "cpu", or the GPU that does the matrix products ("cuda", "cuda:1").

        Raises ValueError for shapes, types and values that make no search.
        """
        _check_vectors(query_QD, "query")
        if k < 1 or memory_mb < 1:
            raise ValueError(f"k ({k}) and memory_mb ({memory_mb}) are at least 1")
        if device.partition(":")[0] not in PREPARED_BYTES:
            raise ValueError(f"a search runs on cpu or cuda, not on {device!r}")
        self._query_QD = np.ascontiguousarray(query_QD)
        self._k = k
        self._device = device
        self._products: list[Product] = []
        self._num_added = 0
        self._sizes = sizes_for(memory_mb, query_QD.shape[1], k, device)
        self._thresholds = thresholds or _no_thresholds(len(query_QD))
        self._thresholds.check(len(query_QD))
        self._parts = [
            QueryPart(self._query_QD, rows, self._thresholds.of(rows), self._sizes)
            for rows in _even_slices(len(query_QD), self._sizes.rows)
        ]

    def add(self, passage_ND: Floats, key_N: Integers) -> None:
        """Passages with keys that no other passage has, in this or any other `add`.

        Raises ValueError, with nothing added, for other shapes or types than float32 [N, D] and int64 [N],
        and for values that are not finite or too large to be scored.
        """
        _check_vectors(passage_ND, "passage")
        if passage_ND.shape[1] != self._query_QD.shape[1]:
            dimensions = (self._query_QD.shape[1], passage_ND.shape[1])
            raise ValueError("queries and passages have {} and {} dimensions".format(*dimensions))
        if key_N.shape != (len(passage_ND),) or key_N.dtype != np.int64:
            raise ValueError(
                f"{len(passage_ND)} passages need one int64 key each, not {key_N.shape} {key_N.dtype}"
            )
        size = self._sizes.chunk(copied=not passage_ND.flags.c_contiguous)
        for start in range(0, len(passage_ND), size):
            part = slice(start, start + size)
            self._search(Chunk(np.ascontiguousarray(passage_ND[part]), key_N[part]))
        self._num_added += len(passage_ND)

    def result(self) -> TopK:
        """What was found so far; more may be added afterwards."""
        width = min(self._k, self._num_added)
        score_QK = np.empty((len(self._query_QD), width), np.float32)
        key_QK = np.empty((len(self._query_QD), width), np.int64)
        for part in self._parts:
            score_QK[part.rows] = part.best.score_RW[:, :width]
            key_QK[part.rows] = part.best.key_RW[:, :width]
        return TopK(score_QK, key_QK)

    @property
    def above_QR(self) -> Integers:  # noqa: N802 (a shape suffix)
        """How many of the passages added so far beat each threshold."""
        above_QR = np.zeros(self._thresholds.score_QR.shape, np.int64)
        for part in self._parts:
            part.fill_above(above_QR[part.rows])
        return above_QR

    def _search(self, chunk: Chunk) -> None:
        """A product that rules out too few passages is not used again."""
        if not self._products:
            self._products = make_products(self._query_QD, chunk.passage_ND, self._device)
        for part in self._parts:
            while not part.search(chunk, self._products[0], next(iter(self._products[1:]), None)):
                self._products.pop(0)


def _check_vectors(vector_ND: Floats, name: str) -> None:
    if vector_ND.ndim != 2 or vector_ND.shape[1] < 1 or vector_ND.dtype != np.float32:
        raise ValueError(f"a {name} is a row of a float32 matrix, not {vector_ND.shape} {vector_ND.dtype}")
    wrong = np.flatnonzero(~(norms(vector_ND) < LARGEST_NORM))
    if len(wrong):
        raise ValueError(f"{name} {wrong[0]} has values that are not finite, or too large to be scored")


def _no_thresholds(num_queries: int) -> Thresholds:
    none_QR = np.empty((num_queries, 0), np.int64)
    return Thresholds(none_QR.astype(np.float32), none_QR, none_QR)


def _even_slices(total: int, most: int) -> list[slice]:
    """As few slices as there have to be, and no short one at the end."""
    count = -(-total // most)
    edges = [total * i // count for i in range(count + 1)] if count else [0]
    return [slice(start, stop) for start, stop in pairwise(edges)]
