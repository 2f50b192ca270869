"""What a search found: per shard on disk, and merged over the shards of a corpus."""

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.full_ranking import Floats, Integers
from distributed_hbt.evaluation.search import TopK
from distributed_hbt.evaluation.whole_file import written_whole

_FEW = 64  # so many are put in their places one by one; all shards but the first have few


@dataclass(frozen=True, slots=True)
class ShardHits:
    """The best K of a shard for every query, best first, ties by doc_id.

    `column_QK` are positions in `doc_ids`, the documents of the shard that any query found. `above_QR`
    counts the passages of the shard that beat each wanted document.
    """

    score_QK: Floats
    column_QK: Integers
    doc_ids: tuple[str, ...]
    above_QR: Integers

    @classmethod
    def of(cls, top: TopK, ordered: Sequence[str], above_QR: Integers) -> "ShardHits":
        """`ordered` are the shard's doc_ids by key."""
        keys, column_QK = np.unique(top.key_QK, return_inverse=True)
        return cls(
            top.score_QK,
            column_QK.reshape(top.key_QK.shape).astype(np.int64),
            tuple(ordered[key] for key in keys.tolist()),
            above_QR,
        )


def write_shard_hits(path: Path, hits: Sequence[ShardHits]) -> None:
    """One search of a shard, or several. Raises WorkerFailed where the file can not be written."""
    arrays: dict[str, Any] = {}
    for i, one in enumerate(hits):
        ids = np.frombuffer("\n".join(one.doc_ids).encode(), np.uint8)
        of_one: dict[str, NDArray[Any]] = {
            "score": one.score_QK,
            "column": one.column_QK,
            "ids": ids,
            "above": one.above_QR,
        }
        arrays |= {f"{name}{i}": array for name, array in of_one.items()}
    with written_whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def read_shard_hits(path: Path, i: int = 0) -> ShardHits:
    """The i-th search of what `write_shard_hits` wrote."""
    with np.load(path, allow_pickle=False) as content:
        text = content[f"ids{i}"].tobytes().decode()
        doc_ids = tuple(text.split("\n")) if text else ()
        return ShardHits(content[f"score{i}"], content[f"column{i}"], doc_ids, content[f"above{i}"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """Documents whose place is wanted however low it is: per query their ids and their scores.

    `limits` are what a search compares passages with: the scores themselves, or those of codes.
    """

    doc_ids: tuple[tuple[str, ...], ...]
    scores: tuple[Floats, ...]
    limits: tuple[Floats, ...]

    @classmethod
    def nothing(cls, num_queries: int) -> "Wanted":
        none = (np.zeros(0, np.float32),) * num_queries
        return cls(((),) * num_queries, none, none)

    @property
    def padded_limits(self) -> Floats:
        """[Q, R]; +inf, which no passage beats, where a query wants fewer than others."""
        width = max((len(limits) for limits in self.limits), default=0)
        limit_QR = np.full((len(self.limits), width), np.inf, np.float32)
        for row, limits in enumerate(self.limits):
            limit_QR[row, : len(limits)] = limits
        return limit_QR


@dataclass(frozen=True, slots=True)
class QueryHits:
    """The best documents of one query, best first, and the (score, rank from 1) of each wanted one."""

    doc_ids: tuple[str, ...]
    scores: tuple[float, ...]
    wanted: Mapping[str, tuple[float, int]]


def merge(parts: Iterable[ShardHits], wanted: Wanted, depth: int) -> list[QueryHits]:
    """The hits of the whole corpus, the same for any order of its shards: by score, ties by doc_id.

    A wanted document among the best has the rank it has there. One below has one more than the number of
    passages that beat it, its own score being the one in `wanted`.
    """
    best: list[list[tuple[float, str]]] = [[] for _ in wanted.doc_ids]
    above_QR: NDArray[np.int64] = np.zeros(wanted.padded_limits.shape, np.int64)
    for part in parts:
        above_QR += part.above_QR
        for row, found in enumerate(best):
            _take(found, part, row, depth)
    return [
        _query_hits(found, wanted.doc_ids[row], wanted.scores[row], above_QR[row], depth)
        for row, found in enumerate(best)
    ]


def _take(found: list[tuple[float, str]], part: ShardHits, row: int, depth: int) -> None:
    """Merge a shard's hits of one query into its best (-score, doc_id)."""
    score_K, column_K = part.score_QK[row], part.column_QK[row]
    if len(found) == depth:
        kept = int(np.searchsorted(-score_K, found[-1][0], side="right"))
        score_K, column_K = score_K[:kept], column_K[:kept]
    new = [
        (-score, part.doc_ids[column])
        for score, column in zip(score_K.tolist(), column_K.tolist(), strict=True)
    ]
    if len(new) > _FEW:
        found += new
        found.sort()
    else:
        for one in new:
            insort(found, one)
    del found[depth:]


def _query_hits(
    found: Sequence[tuple[float, str]],
    doc_ids: Sequence[str],
    scores: Floats,
    above_R: Integers,
    depth: int,
) -> QueryHits:
    places = {doc_id: (-negative, rank) for rank, (negative, doc_id) in enumerate(found, start=1)}
    wanted = {doc_id: places[doc_id] for doc_id in doc_ids if doc_id in places}
    below = sorted(
        (-float(score), doc_id, int(above))
        for doc_id, score, above in zip(doc_ids, scores, above_R, strict=False)
        if doc_id not in places
    )
    last = depth
    for negative, doc_id, above in below:
        # Scores of one text from two batches differ in the last bit, so that counts alone could put two
        # documents on one rank, or one on a rank that the best already have.
        last = max(last, above) + 1
        wanted[doc_id] = (-negative, last)
    return QueryHits(tuple(doc_id for _, doc_id in found), tuple(-score for score, _ in found), wanted)
