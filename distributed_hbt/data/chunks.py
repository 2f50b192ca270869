"""Cutting token sequences into chunks of bounded size."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


def cut(lengths: NDArray[np.int64], max_tokens: int, *, padding_free: bool = False) -> list[Positions]:
    """Positions of the sequences, longest first, in chunks of at most `max_tokens`.

    A chunk's size is its number of sequences times its longest; without padding it is the sum of its
    lengths. A sequence that is longer than `max_tokens` alone makes a chunk of its own.
    """
    order = np.argsort(-lengths, kind="stable")
    before = np.concatenate([[0], np.cumsum(lengths[order])])  # tokens before a place
    chunks: list[Positions] = []
    first = 0
    while first < len(order):
        if padding_free:
            fits = int(np.searchsorted(before, before[first] + max_tokens, side="right")) - 1 - first
        else:
            fits = max_tokens // max(1, int(lengths[order[first]]))
        size = max(1, fits)
        chunks.append(order[first : first + size])
        first += size
    return chunks


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
