"""mMARCO: triples of ids."""

from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.data.example import BadRow, Example, Passage


@pytest.fixture
def texts(write: Any, tmp_path: Path) -> dict[str, Any]:
    for language in ("english", "german"):
        write(f"{language}_queries.tsv", *(f"{i}\tquery {i} {language}\n" for i in (1, 2)))
        write(f"{language}_collection.tsv", *(f"{i}\tpassage {i}\t{language}\n" for i in range(10, 15)))
    return {
        "format": "mmarco",
        "queries": f"{tmp_path}/{{language}}_queries.tsv",
        "collection": f"{tmp_path}/{{language}}_collection.tsv",
        "languages": ["english", "german"],
    }


def test_triples_become_examples_of_every_language(texts: dict[str, Any], write: Any, read: Any) -> None:
    """Adjacent triples of one query and positive were not merged; others, apart, were held to be merged;
    or a text was cut at a tab."""
    triples = write("triples.tsv", "1\t10\t11\n1\t10\t12\n2\t13\t11\n1\t10\t14\n1\t12\t14\n")
    rows = read(triples=triples, **texts)
    assert rows[0] == Example(
        "1", "query 1 english", "en", "en",
        (Passage("10", "", "passage 10\tenglish"),),
        (Passage("11", "", "passage 11\tenglish"), Passage("12", "", "passage 12\tenglish")),
        f"{triples}:1",
    )  # fmt: skip
    ids = [(r.query_language, r.group_id, r.positives[0].docid, [n.docid for n in r.negatives]) for r in rows]
    expected = [("1", "10", ["11", "12"]), ("2", "13", ["11"]), ("1", "10", ["14"]), ("1", "12", ["14"])]
    assert ids == [(language, *rest) for language in ("en", "de") for rest in expected]


def test_faults_name_their_triple(texts: dict[str, Any], write: Any, read: Any) -> None:
    """An id that the texts lack ended the reading."""
    triples = write("triples.tsv", "1\t10\n9\t10\t11\n1\t99\t11\n", b"\xff\t1\t2\n", "1\t10\t98\n")
    assert read(triples=triples, **{**texts, "languages": ["german"]}) == [
        BadRow(f"{triples}:1", "has 2 tab-separated columns, not 3"),
        BadRow(f"{triples}:2", "query '9' is not among the queries"),
        BadRow(f"{triples}:4", "is not valid UTF-8"),
        BadRow(f"{triples}:3", "passage '99' is not in the corpus"),
        BadRow(f"{triples}:5", "passage '98' is not in the corpus"),
    ]
