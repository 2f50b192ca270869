"""Approximate top-k of a stored shard: codes find candidates, the embeddings score them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.embedding_store.rounding import Floats
from distributed_hbt.evaluation.embedding_store.shard import StoredShard
from distributed_hbt.evaluation.full_ranking import rank
from distributed_hbt.evaluation.search import StreamingTopK, Thresholds, TopK, pair_scores

Integers = NDArray[np.int64]

_CANDIDATE_BYTES = 80
"""What a candidate takes while it is scored and sorted: a few integers, masks and keys."""


@dataclass(frozen=True, slots=True)
class CodesHits:
    """`top` has exact scores. `above_QR` counts the passages whose code beats each threshold."""

    top: TopK
    above_QR: Integers


def search_codes(
    shard: StoredShard,
    query_QD: Floats,
    k: int,
    candidates: int,
    key_N: Integers,
    *,
    memory_mb: int = 256,
    device: str = "cpu",
    thresholds: Thresholds | None = None,
) -> CodesHits:
    """The best k of the `candidates * k` whose codes score best, ordered as `TopK`: ties by the lower key.

    `key_N` are the distinct keys of the shard's rows. `thresholds` are scores of codes: those of
    `codes.queries(query_QD) @ codes.unpack(codes.pack(embedding_ND)).T`.
    """
    assert shard.codes is not None, "the store has no codes"
    coarse = StreamingTopK(
        shard.codes.queries(query_QD),
        min(candidates * k, shard.num_rows),
        memory_mb=memory_mb,
        device=device,
        thresholds=thresholds,
    )
    for start, code_BP in shard.code_blocks():
        coarse.add(code_BP, key_N[start : start + len(code_BP)])
    top = _best(shard, query_QD, coarse.result().key_QK, key_N, k, memory_mb << 20)
    return CodesHits(top, coarse.above_QR)


def _best(
    shard: StoredShard, query_QD: Floats, key_QC: Integers, key_N: Integers, k: int, memory: int
) -> TopK:
    """The best k of each query's candidates; `memory` in bytes, for what is held at once."""
    order_N = np.argsort(key_N)
    scores, keys = [], []
    step = max(1, memory // (_CANDIDATE_BYTES * key_QC.shape[1]))
    for start in range(0, max(1, len(query_QD)), step):
        # In ascending order of keys: `rank` takes the lower column first where scores are equal.
        key_BC = np.sort(key_QC[start : start + step], axis=1)
        row_BC = order_N[np.searchsorted(key_N, key_BC, sorter=order_N)]
        score_BC = rescore(shard, query_QD[start : start + step], row_BC)
        best_BK = rank(score_BC)[:, :k]
        scores.append(np.take_along_axis(score_BC, best_BK, 1))
        keys.append(np.take_along_axis(key_BC, best_BK, 1))
    return TopK(score_QK=np.concatenate(scores), key_QK=np.concatenate(keys))


def rescore(shard: StoredShard, query_QD: Floats, row_QC: Integers) -> Floats:
    """Scores [Q, C] of chosen rows of each query, bit for bit those of exact search in the embeddings."""
    score_QC = np.empty(row_QC.shape, np.float32)
    for start, embedding_BD in shard.blocks():
        place_QC = row_QC - start
        query_P, column_P = np.nonzero((place_QC >= 0) & (place_QC < len(embedding_BD)))
        place_P = place_QC[query_P, column_P]
        score_QC[query_P, column_P] = pair_scores(query_QD, embedding_BD, query_P, place_P)
    return score_QC
