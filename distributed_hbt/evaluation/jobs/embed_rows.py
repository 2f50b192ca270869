"""Job: chosen rows of a corpus file -> their embeddings in a file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distributed_hbt.evaluation.corpus.files import CorpusFile, read_at
from distributed_hbt.evaluation.embed import embed_passages
from distributed_hbt.evaluation.jobs.worker import EncoderChoice, Worker
from distributed_hbt.evaluation.whole_file import written_whole


@dataclass(frozen=True, slots=True)
class EmbedRows:
    """Writes float32 [N, D] as .npy, in the order of `rows`, which ascend."""

    output: Path
    encoder: EncoderChoice
    file: CorpusFile
    rows: tuple[int, ...]
    max_characters: int

    @property
    def size(self) -> int:
        return len(self.rows)

    @property
    def subject(self) -> str:
        return f"{self.file.path}: {len(self.rows)} rows from {self.rows[0] + 1} to {self.rows[-1] + 1}"

    def run(self, worker: Worker) -> None:
        """Raises DataError for a row that can not be used, CheckpointError for values that are not finite."""
        model = worker.model(self.encoder)
        picked = read_at(self.file, self.rows, max_characters=self.max_characters)
        parts = []
        for rows, embedding_ND in embed_passages(
            model, picked, lambda row: row.text, self.encoder, device=worker.device
        ):
            parts.append(embedding_ND)
            worker.advance(len(rows), rows[-1].where)
        with written_whole(self.output) as partial, partial.open("wb") as file:
            np.save(file, np.concatenate(parts))
