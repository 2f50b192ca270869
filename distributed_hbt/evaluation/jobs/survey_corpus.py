"""Job: one corpus file looked through once, before anything of it is encoded."""

from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus.survey import survey_file
from distributed_hbt.evaluation.jobs.worker import Worker


@dataclass(frozen=True, slots=True)
class SurveyCorpus:
    """Writes the file's survey."""

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
        """Raises DataError with file:line for the first row that can not be used."""
        worker.begin()
        survey_file(self.file, self.output, max_characters=self.max_characters)
