"""Job: a corpus file -> the keys of its passages."""

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.jobs.worker import Worker
from distributed_hbt.evaluation.whole_file import written_whole
from distributed_hbt.mining.keys import id_key, text_key
from distributed_hbt.mining.passages import read_passages


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Writes uint64 [R, 3] as .npy: of every passage the key of its id, of its title and text, of its text.

    Of a passage that has no text, the third is that of its title.
    """

    output: Path
    file: CorpusFile
    max_characters: int

    @property
    def size(self) -> int:
        return 0

    @property
    def subject(self) -> str:
        return str(self.file.path)

    def run(self, worker: Worker) -> None:
        """Raises DataError for a file that was changed since it was surveyed."""
        worker.begin()
        keys = array("Q")
        for passage in read_passages(self.file, max_characters=self.max_characters):
            whole = text_key(passage.full_text)
            alone = text_key(passage.text) if passage.title and passage.text.strip() else whole
            keys.extend((id_key(passage.docid), whole, alone))
        with written_whole(self.output) as partial, partial.open("wb") as file:
            np.save(file, np.asarray(keys).reshape(-1, 3))
