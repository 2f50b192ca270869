"""Job: a shard of a corpus encoded and searched -> its best documents for every query."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distributed_hbt.evaluation.corpus.files import read_rows
from distributed_hbt.evaluation.corpus.shards import Shard
from distributed_hbt.evaluation.embed import embed_passages
from distributed_hbt.evaluation.embedding_store import (
    EmbeddingStore,
    StoredShard,
    search_codes,
    stored_shard,
)
from distributed_hbt.evaluation.full_ranking import Floats, Integers
from distributed_hbt.evaluation.hits import ShardHits, Wanted, write_shard_hits
from distributed_hbt.evaluation.jobs.worker import EncoderChoice, Worker
from distributed_hbt.evaluation.search import StreamingTopK, Thresholds

Blocks = Iterable[tuple[int, Floats]]
"""(first row, embeddings [B, D]) of all rows of a shard."""


@dataclass(frozen=True, slots=True)
class SearchShard:
    """`queries` is a file of embeddings [Q, D]; `wanted` are the documents whose true rank is counted.

    With a store the shard's embeddings are taken from there, or put there first. Where the store has codes
    these are searched, and the `measured` queries exactly too.
    """

    output: Path
    encoder: EncoderChoice
    shard: Shard
    queries: Path
    wanted: Wanted
    depth: int
    max_characters: int
    memory_mb: int
    store: EmbeddingStore | None
    candidates: int
    measured: tuple[int, ...]

    @property
    def size(self) -> int:
        return self.shard.size

    @property
    def subject(self) -> str:
        return self.shard.subject

    def run(self, worker: Worker) -> None:
        """Raises DataError for a row that can not be used, CheckpointError for values that are not finite,
        WorkerFailed where output or store can not be written."""
        query_QD = np.load(self.queries)
        if self.store is None:
            doc_ids, embedding_ND = self._embedded(worker)
            hits = [self._exact(query_QD, self.wanted, doc_ids, [(0, embedding_ND)], worker.device)]
        else:
            stored = stored_shard(self.store, self.shard.index, lambda: self._embedded(worker))
            hits = self._search_stored(query_QD, stored, worker.device)
            worker.advance(self.size - worker.done)
        write_shard_hits(self.output, hits)

    def _embedded(self, worker: Worker) -> tuple[list[str], Floats]:
        model = worker.model(self.encoder)
        rows = read_rows(
            self.shard.file, self.shard.start, self.shard.stop, max_characters=self.max_characters
        )
        doc_ids: list[str] = []
        embedding_ND: Floats | None = None
        for window, part_ND in embed_passages(
            model, rows, lambda row: row.text, self.encoder, device=worker.device
        ):
            if embedding_ND is None:
                embedding_ND = np.empty((self.size, part_ND.shape[1]), np.float32)
            embedding_ND[len(doc_ids) : len(doc_ids) + len(window)] = part_ND
            doc_ids += [row.doc_id for row in window]
            worker.advance(len(window), window[-1].where)
        assert embedding_ND is not None, "a shard has rows"
        return doc_ids, embedding_ND

    def _search_stored(self, query_QD: Floats, stored: StoredShard, device: str) -> list[ShardHits]:
        if stored.codes is None:
            return [self._exact(query_QD, self.wanted, stored.doc_ids, stored.blocks(), device)]
        ordered, key_N = _keys(stored.doc_ids)
        found = search_codes(
            stored,
            query_QD,
            self.depth,
            self.candidates,
            key_N,
            memory_mb=self.memory_mb,
            device=device,
            thresholds=_thresholds(self.wanted, ordered),
        )
        chosen_MD = query_QD[list(self.measured)]
        nothing = Wanted.nothing(len(self.measured))
        exact = self._exact(chosen_MD, nothing, stored.doc_ids, stored.blocks(), device)
        return [ShardHits.of(found.top, ordered, found.above_QR), exact]

    def _exact(
        self, query_QD: Floats, wanted: Wanted, doc_ids: Sequence[str], blocks: Blocks, device: str
    ) -> ShardHits:
        ordered, key_N = _keys(doc_ids)
        top = StreamingTopK(
            query_QD,
            self.depth,
            memory_mb=self.memory_mb,
            device=device,
            thresholds=_thresholds(wanted, ordered),
        )
        for start, embedding_BD in blocks:
            top.add(embedding_BD, key_N[start : start + len(embedding_BD)])
        return ShardHits.of(top.result(), ordered, top.above_QR)


def _keys(doc_ids: Sequence[str]) -> tuple[list[str], Integers]:
    """The doc_ids in their order, and every row's place in it: ties go by doc_id, as between shards."""
    order_N = sorted(range(len(doc_ids)), key=doc_ids.__getitem__)
    key_N = np.empty(len(doc_ids), np.int64)
    key_N[order_N] = np.arange(len(doc_ids))
    return [doc_ids[row] for row in order_N], key_N


def _thresholds(wanted: Wanted, ordered: list[str]) -> Thresholds:
    """The wanted documents' limits, and where each stands, or would stand, among the shard's doc_ids."""
    score_QR = wanted.padded_limits
    key_QR = np.zeros(score_QR.shape, np.int64)
    itself_QR = np.full(score_QR.shape, -1, np.int64)
    for row, doc_ids in enumerate(wanted.doc_ids):
        for column, doc_id in enumerate(doc_ids):
            key = bisect_left(ordered, doc_id)
            key_QR[row, column] = key
            if key < len(ordered) and ordered[key] == doc_id:
                itself_QR[row, column] = key
    return Thresholds(score_QR, key_QR, itself_QR)
