"""Cutting token sequences into chunks of bounded size."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


CHUNK_COST = 1 / 16
"""What a training chunk costs beside its tokens, as a share of the budget."""


def cut(
    lengths: NDArray[np.int64],
    max_tokens: int,
    *,
    chunk_cost: float = CHUNK_COST,
    padding_free: bool = False,
) -> list[Positions]:
    """Positions of the sequences, longest first, in chunks of at most `max_tokens`.

    A chunk's size is its number of sequences times its longest; without padding it is the sum of its
    lengths. A sequence that is longer than `max_tokens` alone makes a chunk of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    sorted_lengths = np.maximum(lengths[order], 1)
    if padding_free:
        edges = _fullest(sorted_lengths, max_tokens)
    else:
        edges = _cheapest(sorted_lengths, max_tokens, max_tokens * chunk_cost)
    return [order[first:stop] for first, stop in pairwise(edges)]


def _fullest(lengths: NDArray[np.int64], max_tokens: int) -> list[int]:
    """Edges of chunks without padding: as many sequences in each as there is room for."""
    before = np.concatenate([[0], np.cumsum(lengths)])  # tokens before a place
    edges = [0]
    while edges[-1] < len(lengths):
        fits = int(np.searchsorted(before, before[edges[-1]] + max_tokens, side="right")) - 1
        edges.append(max(edges[-1] + 1, fits))
    return edges


def _cheapest(lengths: NDArray[np.int64], max_tokens: int, overhead: float) -> list[int]:
    """Edges of the padded chunks that cost least; lengths descend.

    A chunk costs its padded size and `overhead`: calls, launches, smaller matrices. So few sequences of
    unlike lengths are cut finer than the budget asks for, since their padding would cost more than further
    chunks.
    """
    count = len(lengths)
    cost = np.full(count + 1, np.inf)  # of the sequences before a place, in the best chunks
    cost[0] = 0.0
    begin = np.zeros(count + 1, dtype=np.int64)  # of the chunk that ends at a place
    for first, longest in enumerate(lengths.tolist()):
        size = min(count - first, max(1, max_tokens // longest))
        ends = slice(first + 1, first + 1 + size)
        with_chunk = cost[first] + overhead + longest * np.arange(1, size + 1)
        better = with_chunk < cost[ends]
        cost[ends][better] = with_chunk[better]
        begin[ends][better] = first
    edges = [count]
    while edges[-1] > 0:
        edges.append(int(begin[edges[-1]]))
    return edges[::-1]


def cut_alike(
    lengths_by_rank: Sequence[NDArray[np.int64]], max_tokens: int, *, padding_free: bool = False
) -> list[list[Positions]]:
    """Chunks of every rank, equally many on each: under ZeRO-3 a rank with fewer forwards hangs the others.

    A rank that needs fewer than the others has its largest chunks halved; when all its chunks hold one
    sequence, further chunks repeat its shortest sequence (their embeddings are surplus: see `surplus`).
    """
    cuts = [cut(lengths, max_tokens, padding_free=padding_free) for lengths in lengths_by_rank]
    count = max(len(chunks) for chunks in cuts)
    return [_split_to(chunks, count) for chunks in cuts]


def surplus(chunks: Sequence[Positions], num_sequences: int) -> int:
    """How many of the last chunks only repeat a sequence."""
    return len(chunks) - next(
        i + 1 for i in range(len(chunks)) if sum(map(len, chunks[: i + 1])) == num_sequences
    )


def padded_tokens(
    chunks: Sequence[Positions], lengths: NDArray[np.int64], *, padding_free: bool = False
) -> int:
    """Tokens that go through the encoder, with the padding where there is some."""
    if padding_free:
        return sum(int(lengths[chunk].sum()) for chunk in chunks)
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
