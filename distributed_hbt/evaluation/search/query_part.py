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
"""Share of a chunk that may be candidates beside k: to compute their scores costs then about as much as a
product that leaves fewer."""


class QueryPart:
    """The queries `rows` of query_QD."""

    def __init__(self, query_QD: Floats, rows: slice, limits: Limits, sizes: Sizes) -> None:
        self.rows = rows
        self.best = Best(rows.stop - rows.start, sizes.k, sizes.merge)
        self._query_RD = query_QD[rows]
        self._limits = limits
        self._sizes = sizes
        self._above_T: Integers = np.zeros(len(limits), np.int64)

    def fill_above(self, above_RR: Integers) -> None:
        """Write how many passages beat each limit to where its threshold stands."""
        above_RR[self._limits.row_T, self._limits.column_T] = self._above_T

    def search(self, chunk: Chunk, product: Product, finer: Product | None) -> bool:
        """Take the chunk's passages. False, with nothing changed, where `product` rules out too few of them
        and there is a finer one."""
        prepared = chunk.prepared(product)
        candidates = Candidates(prepared.margins, self.rows, self._sizes.k, self.best.limits())
        above = Above(self._limits, self._query_RD, self.rows, chunk, finer)
        most = self._most(len(chunk), finer)
        for columns in self._blocks(len(chunk)):
            block = prepared.block(self.rows, columns)
            candidates.add(block, columns)
            above.add(block, prepared.margins, columns)
            if candidates.size > most:
                candidates.shrink()
            if candidates.size > most and finer is not None:
                return False
            if candidates.size > most:
                self._settle(candidates, chunk)
                candidates.raise_limit(self.best.limits())
        self._settle(candidates, chunk)
        self._above_T += above.count_T
        return True

    def _blocks(self, num_passages: int) -> Iterator[slice]:
        width = max(1, self._sizes.scores // len(self._query_RD))
        for start in range(0, num_passages, width):
            yield slice(start, min(start + width, num_passages))

    def _most(self, num_passages: int, finer: Product | None) -> int:
        """Candidates that there may be at once."""
        held = self._sizes.candidates
        wanted = int((self._sizes.k + num_passages * TOO_MANY) * len(self._query_RD))
        return held if finer is None else min(held, wanted)

    def _settle(self, candidates: Candidates, chunk: Chunk) -> None:
        """Compute the candidates' scores, and keep the best."""
        row_P, column_P = candidates.take()
        score_P = pair_scores(self._query_RD, chunk.passage_ND, row_P, column_P)
        self.best.merge(row_P, score_P, chunk.key_N[column_P])
