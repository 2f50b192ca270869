"""A BEIR folder."""

from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.errors import DataError

LANGUAGES = {"query_language": "en", "passage_language": "en"}
HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def folder(write: Any, tmp_path: Path) -> str:
    write("corpus.jsonl.gz", {"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "text": "two"})
    write("queries.jsonl", {"_id": "q1", "text": "first?"}, {"_id": "q2", "text": "second?"})
    write("qrels/train.tsv", HEADER, "q1\td1\t2\n", "q1\td2\t0\n")
    write("qrels/test.tsv", "q2\td2\t1\n")
    return str(tmp_path)


def test_split_chooses_the_queries(folder: str, read: Any) -> None:
    """The header was a judgment, a gzipped corpus was not found, or another split's queries were read."""
    one, two = Passage("d1", "T", "one"), Passage("d2", "", "two")
    assert read(format="beir", path=folder, **LANGUAGES) == [
        Example("q1", "first?", "en", "en", (one,), (two,), f"{folder}/qrels/train.tsv:2")
    ]
    assert read(format="beir", path=folder, split="test", **LANGUAGES) == [
        Example("q2", "second?", "en", "en", (two,), (), f"{folder}/qrels/test.tsv:1")
    ]


def test_judgments_may_lie_elsewhere(folder: str, write: Any, read: Any) -> None:
    """The hub keeps a BEIR set's judgments in a repository of their own."""
    qrels = write("elsewhere.tsv", HEADER, "q2\td1\t1\n", "q2 d1 1\n", "q9\td1\t1\n")
    bad, example, other = read(format="beir", path=folder, qrels=qrels, **LANGUAGES)
    assert bad == BadRow(f"{qrels}:3", "has 1 tab-separated columns, not 3 (query-id, corpus-id, score)")
    assert example.group_id == "q2"
    assert other == BadRow(f"{qrels}:4", "query 'q9' is judged but not among the queries")


def test_missing_split_names_its_file(folder: str, read: Any) -> None:
    """A split that the folder lacks gave no rows."""
    with pytest.raises(DataError, match=r"qrels/dev\.tsv: no data file is found"):
        read(format="beir", path=folder, split="dev", **LANGUAGES)
