"""How long ranks wait for the slowest of them, since texts differ in length."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.rows import Rows
from distributed_hbt.data.shares import make_shares

Int32 = NDArray[np.int32]
Float64 = NDArray[np.float64]
Dealing = Literal["balanced", "random"]


def slowdowns(
    query_lengths: Int32,
    passage_lengths: Int32,
    *,
    ranks: int,
    rows: int,
    dealing: Dealing,
    batches: int,
    seed: int,
) -> Float64:
    """float64[batches]: tokens of the rank that has most over the mean of all ranks, at least 1.

    A batch is `rows` pairs drawn from the given ones (int32[N] tokens of a query, and of its passage). A
    rank's time is taken as proportional to its tokens. balanced: as the training deals them; random: each
    rank takes an equal number of pairs as they come, as samplers do that know no lengths.
    """
    if rows % ranks:
        raise ValueError(f"{rows} rows can not be dealt evenly to {ranks} ranks")
    generator = np.random.default_rng(seed)
    deal = _balanced if dealing == "balanced" else _as_they_come
    found = np.empty(batches)
    for batch in range(batches):
        pair_B = generator.integers(0, len(query_lengths), rows)
        tokens_R = deal(query_lengths[pair_B], passage_lengths[pair_B], ranks)
        found[batch] = tokens_R.max() / tokens_R.mean()
    return found


def _balanced(query_B: Int32, passage_B: Int32, ranks: int) -> Float64:
    """The training's own shares of a batch in which every row has a passage of its own."""
    position_B = np.arange(len(query_B))
    no_score = np.full((len(query_B), 1), np.nan, dtype=np.float32)
    rows = Rows(position_B, position_B, position_B[:, None], no_score)
    shares = make_shares(rows, query_B, passage_B, ranks)
    dealt = zip(shares.rows, shares.passages, strict=True)
    return np.array([query_B[own].sum() + passage_B[texts].sum() for own, texts in dealt], dtype=np.float64)


def _as_they_come(query_B: Int32, passage_B: Int32, ranks: int) -> Float64:
    tokens_B = query_B.astype(np.int64) + passage_B
    tokens_R: Float64 = tokens_B.reshape(ranks, -1).sum(axis=1).astype(np.float64)
    return tokens_R
