"""A corpus cut into the pieces that workers encode."""

from collections.abc import Iterable
from dataclasses import dataclass

from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus.survey import FileSurvey


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows `start` to `stop` (half open, from 0) of one file; `index` counts the shards of the corpus."""

    index: int
    file: CorpusFile
    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def subject(self) -> str:
        """For people, who count rows from 1."""
        return f"{self.file.path}: rows {self.start + 1} to {self.stop}"


def cut_shards(surveys: Iterable[FileSurvey], shard_rows: int) -> tuple[Shard, ...]:
    """Every row once, in the order of files and rows, at most `shard_rows` a shard.

    A shard is of one file. The same files give the same shards, wherever and whenever they are cut.
    """
    ranges = ((survey, start) for survey in surveys for start in range(0, survey.num_rows, shard_rows))
    return tuple(
        Shard(index, survey.file, start, min(start + shard_rows, survey.num_rows))
        for index, (survey, start) in enumerate(ranges)
    )
