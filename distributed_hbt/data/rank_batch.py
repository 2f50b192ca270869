"""From the plan's global batch to what one rank encodes and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from distributed_hbt.data.chunks import Positions, cut_alike, padded_tokens
from distributed_hbt.data.counterparts import Counterparts
from distributed_hbt.data.damaged_rows import DamagedRows
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.rows import Int64, Rows, draw_rows
from distributed_hbt.data.shares import Shares, make_shares
from distributed_hbt.data.store import Store
from distributed_hbt.losses.info_nce import Columns


@dataclass(frozen=True, eq=False)
class RankBatch:
    """One rank's share of a global batch.

    `sequences` are token lists: the rank's queries, then its passages. `chunks` are positions in
    `sequences`. Counts are per rank, known to every rank. `passages` relates the rank's queries to all
    ranks' passages (rank by rank), of which each stands there once; `queries` relates their positives to
    all ranks' queries, where the loss is symmetric. `own_BP` are the columns of each row's own passages,
    positive first, -1 where it has fewer, and `score_BP` what a reranker gave them, NaN where nothing.
    Token counts are of the whole global batch; `repeated_tokens` are those of passages that further rows
    share, which are not encoded again. `query_entries` are the rank's rows, `global_query_entries` all.

    Where there is a teacher, `counterpart_S` are the store's numbers of what it reads in the place of each
    sequence (of queries, then of passages; -1 for nothing), and `count_S` how many rows of the global batch
    that counts for: 1 for a query, for a passage the rows whose positive it is.
    """

    step: int
    kind: str
    languages: tuple[str, ...]
    sequences: tuple[NDArray[np.int32], ...]
    chunks: tuple[Positions, ...]
    query_counts: tuple[int, ...]
    passage_counts: tuple[int, ...]
    passages: Columns
    queries: Columns | None
    own_BP: torch.Tensor
    score_BP: torch.Tensor
    real_tokens: int
    padded_tokens: int
    repeated_tokens: int
    query_entries: NDArray[np.int64]
    global_query_entries: NDArray[np.int64]
    counterpart_S: NDArray[np.int64] | None = None
    count_S: NDArray[np.int64] | None = None


class RankBatches:
    """The batches of one rank: a pure function of the step."""

    def __init__(
        self,
        store: Store,
        plan: BatchPlan,
        *,
        rank: int,
        world_size: int,
        seed: int,
        num_hard_negatives: int,
        max_tokens_per_chunk: int,
        hard_negatives_only: bool,
        symmetric: bool,
        padding_free: bool,
        skip_damaged: bool = False,
        counterparts: Counterparts | None = None,
    ) -> None:
        self._store = store
        self._plan = plan
        self._rank = rank
        self._world_size = world_size
        self._seed = seed
        self._num_hard_negatives = num_hard_negatives
        self._max_tokens_per_chunk = max_tokens_per_chunk
        self._hard_negatives_only = hard_negatives_only
        self._symmetric = symmetric
        self._padding_free = padding_free
        self._counterparts = counterparts
        self._damaged = DamagedRows(store, skip=skip_damaged, says_so=rank == 0)

    @property
    def rows_looked_at(self) -> int:
        """It grows as long as the store can be read."""
        return self._damaged.looked_at

    def batch(self, step: int) -> RankBatch:
        """This rank's share of step `step`, counted from 0. Raises DataError for damaged rows, unless they
        are to be skipped."""
        store, planned = self._store, self._plan.batch(step)
        rows = draw_rows(store, planned, seed=self._seed, num_hard_negatives=self._num_hard_negatives)
        rows = self._damaged.left_out(rows)
        shares = make_shares(rows, store.query_lengths, store.passage_lengths, self._world_size)
        local = rows.at(shares.rows[self._rank])
        lengths_by_rank = [self._lengths(rows, shares, rank) for rank in range(self._world_size)]
        free = self._padding_free
        chunks_by_rank = cut_alike(lengths_by_rank, self._max_tokens_per_chunk, padding_free=free)
        cuts = zip(chunks_by_rank, lengths_by_rank, strict=True)
        real_tokens = int(sum(lengths.sum() for lengths in lengths_by_rank))
        counterpart_S, count_S = self._taught(rows, local, shares)
        return RankBatch(
            step=step,
            kind=planned.kind,
            languages=planned.languages,
            sequences=self._sequences(local.query_B, shares.passages[self._rank]),
            chunks=tuple(chunks_by_rank[self._rank]),
            query_counts=tuple(map(len, shares.rows)),
            passage_counts=tuple(map(len, shares.passages)),
            passages=self._passage_columns(rows, local, shares),
            queries=self._query_columns(rows, local, shares) if self._symmetric else None,
            own_BP=torch.from_numpy(shares.columns_of(local.passage_BP)),
            score_BP=torch.from_numpy(local.score_BP),
            real_tokens=real_tokens,
            padded_tokens=sum(padded_tokens(*cut, padding_free=free) for cut in cuts),
            repeated_tokens=self._tokens_row_by_row(rows) - real_tokens,
            query_entries=local.query_B,
            global_query_entries=rows.query_B,
            counterpart_S=counterpart_S,
            count_S=count_S,
        )

    def _taught(self, rows: Rows, local: Rows, shares: Shares) -> tuple[Int64 | None, Int64 | None]:
        """`counterpart_S` and `count_S` of the rank's sequences."""
        if self._counterparts is None:
            return None, None
        query_B = self._counterparts.of_queries(local.query_B)
        passage_N, count_N = self._counterparts.of_passages(shares.passages[self._rank], rows)
        counterpart_S = np.concatenate([query_B, passage_N])
        count_S = np.concatenate([np.ones(len(query_B), np.int64), count_N])
        return counterpart_S, np.where(counterpart_S >= 0, count_S, 0)

    def _lengths(self, rows: Rows, shares: Shares, rank: int) -> NDArray[np.int64]:
        """Of the rank's sequences."""
        queries = self._store.query_lengths[rows.query_B[shares.rows[rank]]]
        return np.concatenate([queries, self._store.passage_lengths[shares.passages[rank]]]).astype(np.int64)

    def _tokens_row_by_row(self, rows: Rows) -> int:
        passages = rows.passage_BP[rows.passage_BP >= 0]
        queries = self._store.query_lengths[rows.query_B].sum(dtype=np.int64)
        return int(queries + self._store.passage_lengths[passages].sum(dtype=np.int64))

    def _sequences(
        self, queries: NDArray[np.int64], passages: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], ...]:
        return (
            *map(self._store.query_tokens, queries.tolist()),
            *map(self._store.passage_tokens, passages.tolist()),
        )

    def _passage_columns(self, rows: Rows, local: Rows, shares: Shares) -> Columns:
        """A known positive of a row's group, in whatever language, is no negative of the row."""
        target_B = shares.columns_of(local.passage_BP[:, 0])
        pairs = [
            (i, column)
            for i, group in enumerate(local.group_B.tolist())
            for column in shares.columns_of(np.unique(self._store.group_positives(group))).tolist()
            if column not in (-1, target_B[i])
        ]
        counts_N = None
        if self._hard_negatives_only:
            hard = rows.passage_BP[:, 1:]
            counts_N = torch.zeros(sum(map(len, shares.passages)), dtype=torch.bool)
            counts_N[torch.from_numpy(shares.columns_of(np.unique(hard[hard >= 0])))] = True
        return Columns(torch.from_numpy(target_B), _pairs(pairs), counts_N)

    def _query_columns(self, rows: Rows, local: Rows, shares: Shares) -> Columns:
        """A positive of this rank is no negative for a query of any rank that it is known to answer."""
        before = sum(map(len, shares.rows[: self._rank]))
        places = _Places(local.passage_BP[:, 0])
        everyone = rows.at(np.concatenate(shares.rows))
        pairs = [
            (i, column)
            for column, group in enumerate(everyone.group_B.tolist())
            for i in places.of(self._store.group_positives(group))
            if column != before + i
        ]
        return Columns(target_B=torch.arange(len(local)) + before, excluded_2E=_pairs(pairs))


class _Places:
    """Where passages stand in a list of passages; sorted once, since a large batch asks for every row."""

    def __init__(self, passage_N: NDArray[np.int64]) -> None:
        self._order_N = np.argsort(passage_N, kind="stable")
        self._sorted_N = passage_N[self._order_N]

    def of(self, passages: NDArray[np.int64]) -> list[int]:
        """Every place at which one of `passages` stands, each once."""
        wanted = np.unique(passages)
        first = np.searchsorted(self._sorted_N, wanted, side="left").tolist()
        last = np.searchsorted(self._sorted_N, wanted, side="right").tolist()
        return [int(p) for a, b in zip(first, last, strict=True) for p in self._order_N[a:b]]


def _pairs(pairs: Sequence[tuple[int, int]]) -> torch.Tensor:
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
