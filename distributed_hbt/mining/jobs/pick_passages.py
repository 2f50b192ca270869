"""Job: chosen rows of a corpus file -> their passages, title and text apart."""

import json
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.jobs.worker import Worker
from distributed_hbt.evaluation.whole_file import written_whole
from distributed_hbt.mining.passages import read_passages_at


@dataclass(frozen=True, slots=True)
class PickPassages:
    """Writes JSON lines {docid, title, text} of `rows`, which ascend."""

    output: Path
    file: CorpusFile
    rows: tuple[int, ...]
    max_characters: int

    @property
    def size(self) -> int:
        return 0

    @property
    def subject(self) -> str:
        return f"{self.file.path}: {len(self.rows)} rows"

    def run(self, worker: Worker) -> None:
        """Raises DataError for a file that was changed since it was surveyed."""
        worker.begin()
        with written_whole(self.output) as partial, partial.open("w", encoding="utf-8") as file:
            for passage in read_passages_at(self.file, self.rows, max_characters=self.max_characters):
                content = {"docid": passage.docid, "title": passage.title, "text": passage.text}
                file.write(json.dumps(content, ensure_ascii=False) + "\n")
