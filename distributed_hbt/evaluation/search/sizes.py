"""How much is worked on at once, from the memory that a search may take."""

from dataclasses import dataclass

SCORE_BYTES = 64
"""Memory of a score of a block in the worst case, when all become candidates beside those that are held."""

CANDIDATE_BYTES = 96
"""Memory of a candidate while candidates are sorted and scored."""

MERGED_BYTES = 72
"""Memory of a passage in a merge: score and key, their orders, before and after."""

SMALLEST_MERGE = 64
"""Passages a query that a merge has room for at least."""

MOST_ROWS = 2048
"""Queries at once, at most: more make no product faster. Candidates count on 16 bits."""

MOST_CHUNK = 1 << 16
"""Passages of a chunk, at most."""


PREPARED_BYTES = {"cpu": 2, "cuda": 16}
"""Memory of a passage's value once it is prepared: rounded; or on a GPU, for a product of each precision."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """`share` bytes each for the passages of a chunk, a block of scores, and candidates or merges."""

    share: int
    vector_bytes: int
    dimension: int
    k: int

    @property
    def rows(self) -> int:
        """Queries that meet the passages together: few enough for twice k candidates each."""
        merged = (self.k + self.merge) * MERGED_BYTES
        return max(1, min(self.share // merged, self.candidates // (2 * self.k), MOST_ROWS))

    def chunk(self, *, copied: bool) -> int:
        """Passages of a chunk; `copied`: they are not contiguous, so that a copy is made of them."""
        vector = self.vector_bytes + 4 * self.dimension * copied
        return max(1, min(self.share // vector, MOST_CHUNK))

    @property
    def scores(self) -> int:
        """Scores of a block."""
        return self.share // SCORE_BYTES

    @property
    def candidates(self) -> int:
        """Candidates that are held at once."""
        return self.share // CANDIDATE_BYTES

    @property
    def merge(self) -> int:
        """Passages a query that are merged with the best at once."""
        return 2 * max(self.k, SMALLEST_MERGE)


def sizes_for(memory_mb: int, dimension: int, k: int, device: str = "cpu") -> Sizes:
    """The sizes that keep a search within `memory_mb`, and as much again on a GPU."""
    prepared = PREPARED_BYTES[device.partition(":")[0]]
    return Sizes(memory_mb * 2**20 // 3, prepared * dimension, dimension, k)
