"""What each rank has of a global batch: its rows, and texts of which each is encoded once."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.plan.deal import deal, deal_freely
from distributed_hbt.data.rows import Rows

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Shares:
    """Rows and passages of every rank; a passage of several rows is one rank's, whosever rows they are.

    `rows` are positions in the global batch, equally many a rank. `passages` are the store's numbers. The
    columns of the score matrix are the passages rank by rank.
    """

    rows: tuple[Int64, ...]
    passages: tuple[Int64, ...]

    @cached_property
    def _sorted(self) -> tuple[Int64, Int64]:
        columns = np.concatenate(self.passages)
        order = np.argsort(columns)
        return columns[order], order

    def columns_of(self, passages: Int64) -> Int64:
        """Their columns; -1 for a passage that is not in the batch."""
        sorted_N, column_N = self._sorted
        place = np.minimum(np.searchsorted(sorted_N, passages), len(sorted_N) - 1)
        return np.where(sorted_N[place] == passages, column_N[place], -1)


def make_shares(rows: Rows, query_lengths: Int32, passage_lengths: Int32, world_size: int) -> Shares:
    """Equally many rows and about equally many tokens for every rank.

    query_lengths and passage_lengths are those of the store. Raises ConfigError where the rows are no
    multiple of world_size.
    """
    length_B = query_lengths[rows.query_B].astype(np.int64)
    row_shares = deal(length_B, world_size)
    distinct = np.unique(rows.passage_BP[rows.passage_BP >= 0])
    taken = np.array([length_B[share].sum() for share in row_shares])
    passage_shares = deal_freely(passage_lengths[distinct].astype(np.int64), taken)
    return Shares(tuple(row_shares), tuple(distinct[share] for share in passage_shares))
