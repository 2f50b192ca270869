"""Tevatron v2: rows of ids and a corpus."""

from typing import Any

from distributed_hbt.data.example import BadRow, Example, Passage

LANGUAGES = {"query_language": "en", "passage_language": "en"}


def row(number: int, positives: list[Any], negatives: list[Any]) -> dict[str, Any]:
    return {
        "query_id": str(number),
        "query_text": f"question {number}",
        "query_image": None,
        "positive_document_ids": positives,
        "negative_document_ids": negatives,
    }


def test_ids_become_passages(write: Any, read: Any) -> None:
    """The corpus' `document_text` was not read, a numeric id did not meet its text, or a title was lost."""
    path = write("train.jsonl", row(1, ["a", 2], ["c"]), row(2, ["c"], []))
    corpus = write(
        "corpus.jsonl.gz",
        {"docid": "2", "text": "two"},
        {"docid": "unused", "text": ""},
        {"docid": "c", "document_text": "sea", "text": None},
        {"docid": "a", "text": "first", "title": "A"},
        {"docid": "a", "text": "second", "title": "A"},
    )
    first, second = read(format="tevatron_v2", path=path, corpus=corpus, **LANGUAGES)
    assert first == Example(
        "1", "question 1", "en", "en",
        (Passage("a", "A", "first"), Passage("2", "", "two")), (Passage("c", "", "sea"),), f"{path}:1",
    )  # fmt: skip
    assert second.positives == (Passage("c", "", "sea"),)


def test_missing_and_blank_passages_are_faults_of_their_rows(write: Any, read: Any) -> None:
    """A row lost its positive in silence."""
    path = write(
        "train.jsonl", row(1, ["a"], []), row(2, ["gone"], []), row(3, ["a"], ["blank"]), row(4, [], ["a"])
    )
    corpus = write("corpus.jsonl", "{broken\n", {"docid": "a", "text": "A"}, {"docid": "blank", "text": ""})
    rows = read(format="tevatron_v2", path=path, corpus=corpus, **LANGUAGES)
    assert [type(r) for r in rows] == [BadRow, Example, BadRow, BadRow, BadRow]
    assert rows[0].where == f"{corpus}:1"
    assert rows[2:] == [
        BadRow(f"{path}:2", "passage 'gone' is not in the corpus"),
        BadRow(f"{path}:3", "the text of passage 'blank' is empty"),
        BadRow(f"{path}:4", "field 'positive_document_ids' holds no positive passage"),
    ]
