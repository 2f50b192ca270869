"""The rows of a global batch to the ranks."""

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
