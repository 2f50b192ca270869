"""Cutting token sequences into chunks of bounded padded size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


CHUNK_COST = 1 / 16
"""What a training chunk costs beside its tokens, as a share of the budget."""


def cut(lengths: NDArray[np.int64], max_tokens: int, chunk_cost: float = CHUNK_COST) -> list[Positions]:
    """Positions of the sequences, longest first, in the chunks that cost least.

    A chunk costs its padded size (number of sequences times longest) and `chunk_cost` of the budget: calls,
    launches, smaller matrices. Its padded size is at most `max_tokens`; a sequence that is longer alone makes
    a chunk of its own. Few sequences of unlike lengths are cut finer than the budget asks for, since their
    padding would cost more than further chunks.
    """
    order = np.argsort(-lengths, kind="stable")
    count, overhead = len(order), max_tokens * chunk_cost
    cost = np.full(count + 1, np.inf)  # of the sequences before a place, in the best chunks
    cost[0] = 0.0
    begin = np.zeros(count + 1, dtype=np.int64)  # of the chunk that ends at a place
    for first, longest in enumerate(np.maximum(lengths[order], 1).tolist()):
        size = min(count - first, max(1, max_tokens // longest))
        ends = slice(first + 1, first + 1 + size)
        with_chunk = cost[first] + overhead + longest * np.arange(1, size + 1)
        better = with_chunk < cost[ends]
        cost[ends][better] = with_chunk[better]
        begin[ends][better] = first
    chunks: list[Positions] = []
    end = count
    while end > 0:
        chunks.append(order[begin[end] : end])
        end = int(begin[end])
    return chunks[::-1]


def cut_alike(lengths_by_rank: Sequence[NDArray[np.int64]], max_tokens: int) -> list[list[Positions]]:
    """Chunks of every rank, equally many on each: under ZeRO-3 a rank with fewer forwards hangs the others.

    A rank that needs fewer than the others has its largest chunks halved; when all its chunks hold one
    sequence, further chunks repeat its shortest sequence (their embeddings are surplus: see `surplus`).
    """
    cuts = [cut(lengths, max_tokens) for lengths in lengths_by_rank]
    count = max(len(chunks) for chunks in cuts)
    return [_split_to(chunks, count) for chunks in cuts]


def surplus(chunks: Sequence[Positions], num_sequences: int) -> int:
    """How many of the last chunks only repeat a sequence."""
    return len(chunks) - next(
        i + 1 for i in range(len(chunks)) if sum(map(len, chunks[: i + 1])) == num_sequences
    )


def padded_tokens(chunks: Sequence[Positions], lengths: NDArray[np.int64]) -> int:
    """Tokens that go through the encoder, padding included."""
    return sum(len(chunk) * int(lengths[chunk].max()) for chunk in chunks)


def _split_to(chunks: list[Positions], count: int) -> list[Positions]:
    chunks = list(chunks)
    while len(chunks) < count:
        largest = max(range(len(chunks)), key=lambda i: len(chunks[i]))
        chunk = chunks[largest]
        if len(chunk) == 1:
            break
        chunks[largest : largest + 1] = [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
    return chunks + [chunks[-1]] * (count - len(chunks))
