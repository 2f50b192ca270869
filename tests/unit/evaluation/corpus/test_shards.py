"""A corpus in pieces."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus.shards import cut_shards
from distributed_hbt.evaluation.corpus.survey import FileSurvey


def surveys(*sizes: int) -> list[FileSurvey]:
    return [
        FileSurvey(
            CorpusFile(Path(f"docs-{i}.jsonl"), "docid"), size, "", np.arange(size, dtype=np.uint64), 9
        )
        for i, size in enumerate(sizes)
    ]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(1, 12))
def test_every_row_is_in_one_shard(sizes: list[int], shard_rows: int) -> None:
    """A row that no worker encodes, or that two do; a shard of more rows than a worker may hold."""
    files = surveys(*sizes)
    shards = cut_shards(files, shard_rows)
    rows = [(shard.file, row) for shard in shards for row in range(shard.start, shard.stop)]
    assert rows == [(survey.file, row) for survey in files for row in range(survey.num_rows)]
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(1 <= shard.size <= shard_rows for shard in shards)
    assert cut_shards(surveys(*sizes), shard_rows) == shards


def test_a_shard_says_what_it_is_in_rows_from_one() -> None:
    """A message about a failed shard that names the wrong rows."""
    assert [shard.subject for shard in cut_shards(surveys(5, 2), 3)] == [
        "docs-0.jsonl: rows 1 to 3",
        "docs-0.jsonl: rows 4 to 5",
        "docs-1.jsonl: rows 1 to 2",
    ]
