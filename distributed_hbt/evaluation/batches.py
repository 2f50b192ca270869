"""Batches of texts of similar length, within a budget of padded tokens."""

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]

BATCH_COST = 1 / 32
"""What a batch costs beside its tokens, as a share of the budget: calls, launches, smaller matrices."""


def best_batches(lengths: NDArray[np.int64], max_tokens: int) -> list[Positions]:
    """Positions of the texts, longest first, in the batches that cost least.

    A batch costs its padded size (texts times longest) and BATCH_COST of the budget. Its padded size is at
    most `max_tokens`; a longer text makes a batch of its own. Few texts of unlike lengths are cut finer than
    the budget asks for, since their padding would cost more than further batches.
    """
    order = np.argsort(-lengths, kind="stable")
    count, overhead = len(order), max_tokens * BATCH_COST
    cost = np.full(count + 1, np.inf)  # of the texts before a place, in the best batches
    cost[0] = 0.0
    begin = np.zeros(count + 1, dtype=np.int64)  # of the batch that ends at a place
    for first, longest in enumerate(np.maximum(lengths[order], 1).tolist()):
        size = min(count - first, max(1, max_tokens // longest))
        ends = slice(first + 1, first + 1 + size)
        with_batch = cost[first] + overhead + longest * np.arange(1, size + 1)
        better = with_batch < cost[ends]
        cost[ends][better] = with_batch[better]
        begin[ends][better] = first
    batches: list[Positions] = []
    end = count
    while end > 0:
        batches.append(order[begin[end] : end])
        end = int(begin[end])
    return batches[::-1]
