"""Some of the queries of a search, with all that was found for them."""

from collections.abc import Iterator

import numpy as np

from distributed_hbt.evaluation.search.above import Above
from distributed_hbt.evaluation.search.approximation import Product
from distributed_hbt.evaluation.search.best import Best
from distributed_hbt.evaluation.search.candidates import Candidates
from distributed_hbt.evaluation.search.chunk import Chunk
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers, pair_scores
from distributed_hbt.evaluation.search.sizes import Sizes
from distributed_hbt.evaluation.search.thresholds import Limits

TOO_MANY = 1 / 16
"""Share of a chunk that may be candidates beside k: computing their scores costs then about what a product
does that leaves fewer."""


class QueryPart:
    """The queries `rows` of query_QD."""

    def __init__(self, query_QD: Floats, rows: slice, k: int, limits: Limits, sizes: Sizes) -> None:
        self.rows = rows
        self.best = Best(rows.stop - rows.start, k)
        self._query_RD = query_QD[rows]
        self._k = k
        self._limits = limits
        self._sizes = sizes
        self._above_T: Integers = np.zeros(len(limits), np.int64)

    def fill_above(self, above_RR: Integers) -> None:
        """Write the counts so far, limit t to where its threshold stands; the others stay as they are."""
        above_RR[self._limits.row_T, self._limits.column_T] = self._above_T

    def search(self, chunk: Chunk, product: Product, finer: Product | None) -> bool:
        """Take the chunk's passages. False, with nothing changed, where `product` rules out too few."""
        prepared = chunk.prepared(product)
        candidates = Candidates(prepared.margins, self.rows, self._k, self.best.limit_R)
        above = Above(self._limits, self._query_RD, self.rows, chunk, finer)
        for columns in self._blocks(len(chunk), candidates):
            block = prepared.block(self.rows, columns)
            candidates.add(block, columns)
            above.add(block, prepared.margins, columns)
            if candidates.size > self._most(finer, len(chunk)):
                candidates.tighten()
            if candidates.size > self._most(finer, len(chunk)):
                if finer is not None:
                    return False
                self._settle(candidates, chunk)
                candidates.raise_limit(self.best.limit_R)
        self._settle(candidates, chunk)
        self._above_T += above.count_T
        return True

    def _blocks(self, num_passages: int, candidates: Candidates) -> Iterator[slice]:
        """All passages of a chunk; small blocks first, until there is something to rule passages out."""
        start = 0
        while start < num_passages:
            width = max(1, self._sizes.scores // len(self._query_RD))
            if not candidates.limited:
                width = min(width, 4 * self._k)
            stop = min(start + width, num_passages)
            yield slice(start, stop)
            start = stop

    def _most(self, finer: Product | None, num_passages: int) -> int:
        """Candidates that there may be at once."""
        if finer is None:
            return self._sizes.candidates
        wanted = (self._k + num_passages * TOO_MANY) * len(self._query_RD)
        return min(self._sizes.candidates, int(wanted))

    def _settle(self, candidates: Candidates, chunk: Chunk) -> None:
        """Compute the candidates' scores, and keep the best."""
        candidates.tighten()
        row_P, column_P = candidates.take()
        score_P = pair_scores(self._query_RD, chunk.passage_ND, row_P, column_P)
        self.best.merge(row_P, score_P, chunk.key_N[column_P])
