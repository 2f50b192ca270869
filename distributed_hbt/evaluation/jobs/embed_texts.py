"""Job: texts in memory -> their embeddings in a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from distributed_hbt.evaluation.embed import embed_tokens
from distributed_hbt.evaluation.jobs.worker import EncoderChoice, Worker
from distributed_hbt.evaluation.whole_file import written_whole


@dataclass(frozen=True, slots=True)
class EmbedTexts:
    """Writes float32 [N, D] as .npy, in the order of `texts`."""

    output: Path
    encoder: EncoderChoice
    kind: Literal["query", "passage"]
    texts: tuple[str, ...]
    subject: str

    @property
    def size(self) -> int:
        return len(self.texts)

    def run(self, worker: Worker) -> None:
        """Raises CheckpointError for embeddings that are not finite."""
        model = worker.model(self.encoder)
        tokens = (model.texts.queries if self.kind == "query" else model.texts.passages)(self.texts)
        embedding_ND = embed_tokens(model, tokens, self.encoder, device=worker.device)
        with written_whole(self.output) as partial, partial.open("wb") as file:
            np.save(file, embedding_ND)
        worker.advance(self.size)
