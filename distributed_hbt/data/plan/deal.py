"""The texts of a global batch to the ranks."""

import heapq

import numpy as np

from distributed_hbt.data.plan.index import Int64
from distributed_hbt.errors import ConfigError


def deal(lengths: Int64, world_size: int) -> list[Int64]:
    """Positions of the global batch for each rank: equally many, with balanced sums of tokens.

    lengths: int64[B], tokens of each row. Returns world_size arrays of B / world_size ascending
    positions; together they are range(B). The longest rows go first, world_size at a time, the longest
    of them to the rank with the fewest tokens so far: the sums of two ranks differ by at most the
    longest row less the shortest. Raises ConfigError where B is no multiple of world_size.
    """
    batch_size = len(lengths)
    if batch_size % world_size:
        raise ConfigError(
            "train.global_batch_size",
            f"{batch_size} rows do not divide evenly over {world_size} ranks",
            f"use a multiple of {world_size}",
        )
    rounds = np.argsort(-lengths, kind="stable").reshape(-1, world_size)
    dealt = np.empty_like(rounds)
    tokens = np.zeros(world_size, dtype=np.int64)
    for number, positions in enumerate(rounds):
        emptiest_first = np.argsort(tokens, kind="stable")
        dealt[number, emptiest_first] = positions
        tokens[emptiest_first] += lengths[positions]
    return [np.sort(dealt[:, rank]) for rank in range(world_size)]


def deal_freely(lengths: Int64, taken: Int64) -> list[Int64]:
    """Positions for each rank, ascending, so that the ranks' sums of tokens are balanced, however many texts
    that makes on each.

    lengths: int64[N]; taken: int64[world_size], tokens that a rank has already. The longest go first, each
    to the rank with the fewest tokens so far.
    """
    emptiest = [(int(tokens), rank) for rank, tokens in enumerate(taken)]
    heapq.heapify(emptiest)
    dealt: list[list[int]] = [[] for _ in taken]
    order = np.argsort(-lengths, kind="stable")
    for position, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        tokens, rank = emptiest[0]
        dealt[rank].append(position)
        heapq.heapreplace(emptiest, (tokens + length, rank))
    return [np.sort(np.array(positions, dtype=np.int64)) for positions in dealt]
