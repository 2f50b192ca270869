"""From the plan's global batch to what one rank encodes and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from distributed_hbt.data.chunks import Positions, cut_alike, padded_tokens
from distributed_hbt.data.plan.batch_plan import BatchPlan, GlobalBatch
from distributed_hbt.data.plan.deal import deal
from distributed_hbt.data.store import Store
from distributed_hbt.losses.info_nce import Columns

_PICK_PASSAGES = 0x70617373  # keeps the draws of passages apart from those of the plan


@dataclass(frozen=True)
class RankBatch:
    """One rank's share of a global batch.

    `sequences` are token lists: the rank's queries, then their positives, then their hard negatives.
    `chunks` are positions in `sequences`. Counts are per rank, known to every rank. `passages` relates
    the rank's queries to all ranks' passages (rank by rank: positives, then hard negatives); `queries`
    relates its positives to all ranks' queries, where the loss is symmetric. Token counts are of the whole
    global batch.
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
    real_tokens: int
    padded_tokens: int
    query_entries: NDArray[np.int64]


@dataclass(frozen=True)
class _Row:
    query: int
    group: int
    positive: int
    negatives: NDArray[np.int64]


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

    def batch(self, step: int) -> RankBatch:
        """This rank's share of step `step`, counted from 0."""
        global_batch = self._plan.batch(step)
        rows = self._rows(global_batch)
        shares = [[rows[i] for i in share] for share in deal(self._lengths(rows), self._world_size)]
        local = shares[self._rank]
        lengths_by_rank = [self._sequence_lengths(share) for share in shares]
        chunks_by_rank = cut_alike(lengths_by_rank, self._max_tokens_per_chunk)
        return RankBatch(
            step=step,
            kind=global_batch.kind,
            languages=global_batch.languages,
            sequences=self._sequences(local),
            chunks=tuple(chunks_by_rank[self._rank]),
            query_counts=tuple(len(share) for share in shares),
            passage_counts=tuple(len(_passages(share)) for share in shares),
            passages=self._passage_columns(shares),
            queries=self._query_columns(shares) if self._symmetric else None,
            real_tokens=int(sum(lengths.sum() for lengths in lengths_by_rank)),
            padded_tokens=sum(map(padded_tokens, chunks_by_rank, lengths_by_rank)),
            query_entries=np.array([row.query for row in local]),
        )

    def _rows(self, batch: GlobalBatch) -> list[_Row]:
        """The positive and the hard negatives of every row; drawn where it has more than are wanted."""
        draws = np.random.Generator(np.random.Philox(key=[self._seed, _PICK_PASSAGES + (batch.step << 32)]))
        return [
            _Row(
                query=query,
                group=int(self._store.index.query_group[query]),
                positive=int(_some(self._store.positives(answer), 1, draws)[0]),
                negatives=_some(self._store.negatives(answer), self._num_hard_negatives, draws),
            )
            for query, answer in zip(batch.queries.tolist(), batch.answers.tolist(), strict=True)
        ]

    def _lengths(self, rows: Sequence[_Row]) -> NDArray[np.int64]:
        queries, passages = self._store.query_lengths, self._store.passage_lengths
        return np.array(
            [
                int(queries[row.query]) + int(passages[row.positive]) + int(passages[row.negatives].sum())
                for row in rows
            ],
            dtype=np.int64,
        )

    def _sequence_lengths(self, share: Sequence[_Row]) -> NDArray[np.int64]:
        queries = self._store.query_lengths[[row.query for row in share]]
        return np.concatenate([queries, self._store.passage_lengths[_passages(share)]]).astype(np.int64)

    def _sequences(self, share: Sequence[_Row]) -> tuple[NDArray[np.int32], ...]:
        queries = [self._store.query_tokens(row.query) for row in share]
        return (*queries, *(self._store.passage_tokens(i) for i in _passages(share).tolist()))

    def _passage_columns(self, shares: Sequence[Sequence[_Row]]) -> Columns:
        passage_N = np.concatenate([_passages(share) for share in shares])
        before = sum(len(_passages(share)) for share in shares[: self._rank])
        local = shares[self._rank]
        places = _Places(passage_N)
        pairs = [
            (i, column)
            for i, row in enumerate(local)
            for column in places.of(self._store.group_positives(row.group))
            if column != before + i
        ]
        is_negative = [np.arange(len(_passages(share))) >= len(share) for share in shares]
        return Columns(
            target_B=torch.arange(len(local)) + before,
            excluded_2E=_pairs(pairs),
            counts_N=torch.from_numpy(np.concatenate(is_negative)) if self._hard_negatives_only else None,
        )

    def _query_columns(self, shares: Sequence[Sequence[_Row]]) -> Columns:
        """A positive of this rank is no negative for a query of any rank that it is known to answer."""
        before = sum(len(share) for share in shares[: self._rank])
        local = shares[self._rank]
        places = _Places(np.array([row.positive for row in local]))
        pairs = [
            (i, column)
            for column, row in enumerate(row for share in shares for row in share)
            for i in places.of(self._store.group_positives(row.group))
            if column != before + i
        ]
        return Columns(target_B=torch.arange(len(local)) + before, excluded_2E=_pairs(pairs))


def _some(passages: NDArray[np.int64], number: int, draws: np.random.Generator) -> NDArray[np.int64]:
    if len(passages) <= number:
        return passages
    return passages[np.sort(draws.choice(len(passages), size=number, replace=False))]


def _passages(share: Sequence[_Row]) -> NDArray[np.int64]:
    positives = np.array([row.positive for row in share], dtype=np.int64)
    return np.concatenate([positives, *(row.negatives for row in share)])


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
