"""Job: the hits of all shards of a corpus -> the hits of the corpus."""

from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.evaluation.hits import Wanted, merge, read_shard_hits
from distributed_hbt.evaluation.jobs.worker import Worker
from distributed_hbt.evaluation.merged import codes_loss, write_merged


@dataclass(frozen=True, slots=True)
class MergeHits:
    """`parts` are the outputs of `SearchShard`; `measured` the queries that it searched exactly too.

    Needs no encoder, and memory for one part at a time.
    """

    output: Path
    parts: tuple[Path, ...]
    wanted: Wanted
    depth: int
    measured: tuple[int, ...]
    subject: str

    @property
    def size(self) -> int:
        return 0

    def run(self, worker: Worker) -> None:
        """Raises WorkerFailed where the output can not be written."""
        worker.begin()
        hits = merge(map(read_shard_hits, self.parts), self.wanted, self.depth)
        loss = None
        if self.measured:
            parts = (read_shard_hits(part, 1) for part in self.parts)
            exact = merge(parts, Wanted.nothing(len(self.measured)), self.depth)
            loss = codes_loss([hits[query] for query in self.measured], exact, self.depth)
        write_merged(self.output, hits, loss)
