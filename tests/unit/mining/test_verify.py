"""The last look at the finished file."""

from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.errors import DataError, WorkerFailed
from distributed_hbt.mining.verify import verify
from tests.corpus_files import passage, write_lines


def row(group: str, language: str, positive: dict[str, str], *negatives: dict[str, str]) -> dict[str, Any]:
    return {
        "query_id": group,
        "group_id": group,
        "query": f"{group} {language}",
        "query_language": language,
        "passage_language": language,
        "positive_passages": [positive],
        "negative_passages": list(negatives),
    }


GOOD = [
    row("g", "en", passage("d1", "one"), passage("d2", "two")),
    row("g", "de", passage("d3", "eins"), passage("d2", "zwei")),
    row("h", "en", passage("d2", "two"), passage("d1", "one"), passage("d3", "eins")),
]


def test_a_file_that_keeps_the_promise_passes(tmp_path: Path) -> None:
    """Catches a check that refuses what another group's positives are."""
    verify(write_lines(tmp_path / "out.jsonl.gz", *GOOD), 3)


@pytest.mark.parametrize(
    "negative",
    [
        passage("d1", "other words"),
        passage("d3", "other words"),
        passage("d9", "One"),
        passage("d9", "eins"),
        passage("d9", "one", "A title"),
        passage("", "eins"),
        passage("d9", "g en"),
    ],
)
def test_a_known_positive_among_the_negatives_is_found(tmp_path: Path, negative: dict[str, str]) -> None:
    """Catches a positive of another row, language, id, title or spelling of the group."""
    path = write_lines(tmp_path / "out.jsonl", row("g", "en", passage("d1", "one"), negative), *GOOD[1:])
    with pytest.raises(WorkerFailed, match=r"out\.jsonl:1: negative .* is a known positive of group 'g'"):
        verify(path, 3)


def test_lost_and_unreadable_rows_are_found(tmp_path: Path) -> None:
    """Catches a file that ends early, and negatives that training refuses."""
    with pytest.raises(WorkerFailed, match="has 2 rows, not 3"):
        verify(write_lines(tmp_path / "out.jsonl", *GOOD[:2]), 3)
    with pytest.raises(DataError, match=r"negative_passages.0.text is empty"):
        verify(write_lines(tmp_path / "out.jsonl", row("g", "en", passage("d1"), passage("d2", ""))), 1)
