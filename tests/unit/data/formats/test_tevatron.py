"""Tevatron v1 rows and MIRACL's training rows."""

from typing import Any

from distributed_hbt.data.example import BadRow, Example, Passage

LANGUAGES = {"query_language": "sw", "passage_language": "eng"}


def test_rows_become_examples(write: Any, read: Any) -> None:
    """A passage without docid or title was refused, or a numeric query id was."""
    path = write(
        "train.jsonl",
        {
            "query_id": 12,
            "query": "Nani?",
            "positive_passages": [{"docid": "3#0", "title": "Daktari", "text": "Yeye."}],
            "negative_passages": [{"text": "Wao."}, {"docid": "", "title": None, "text": "Sisi."}],
        },
        {"query_id": "13", "query": "Lini?", "positive_passages": [], "negative_passages": []},
    )
    assert read(format="tevatron", path=path, **LANGUAGES) == [
        Example(
            group_id="12",
            query="Nani?",
            query_language="sw",
            passage_language="en",
            positives=(Passage("3#0", "Daktari", "Yeye."),),
            negatives=(Passage("", "", "Wao."), Passage("", "", "Sisi.")),
            where=f"{path}:1",
        ),
        BadRow(f"{path}:2", "field 'positive_passages' holds no positive passage"),
    ]
