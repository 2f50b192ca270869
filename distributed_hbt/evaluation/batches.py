"""Batches of texts of similar length, within a budget of padded tokens."""

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.chunks import Positions, cut

BATCH_COST = 1 / 32
"""What a batch costs beside its tokens, as a share of the budget."""


def best_batches(lengths: NDArray[np.int64], max_tokens: int) -> list[Positions]:
    """Positions of the texts, longest first, in the batches that cost least: see `data.chunks.cut`."""
    return cut(lengths, max_tokens, chunk_cost=BATCH_COST)
