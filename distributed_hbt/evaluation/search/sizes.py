"""How much is worked on at once, from the memory that a search may take."""

from dataclasses import dataclass

from distributed_hbt.evaluation.search.best import MERGE_BYTES, SMALLEST_MERGE
from distributed_hbt.evaluation.search.candidates import CANDIDATE_BYTES

SCORE_BYTES = 48
"""Memory of a score of a block in the worst case, when all are candidates at once: the values as they are
and compared, and what they become on the way to candidates."""

MOST_ROWS = 2048
"""Queries at once, at most: more make no product faster. Candidates count on 16 bits."""

MOST_CHUNK = 1 << 17
"""Passages of a chunk, at most."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """`rows` queries meet `chunk` passages in blocks of `scores` scores, and leave `candidates` at most."""

    rows: int
    chunk: int
    scores: int
    candidates: int


def sizes_for(memory_mb: int, dimension: int, k: int) -> Sizes:
    """A quarter of the memory each for passages on their way, a block, candidates, and merges."""
    quarter = memory_mb * 2**20 // 4
    merged = (k + max(k, SMALLEST_MERGE)) * MERGE_BYTES
    prepared = dimension * (4 + 2)  # a contiguous copy, where one is needed, and the rounded one
    return Sizes(
        rows=max(1, min(quarter // merged, MOST_ROWS)),
        chunk=max(1, min(quarter // prepared, MOST_CHUNK)),
        scores=quarter // SCORE_BYTES,
        candidates=quarter // CANDIDATE_BYTES,
    )
