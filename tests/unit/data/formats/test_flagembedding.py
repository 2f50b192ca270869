"""FlagEmbedding rows."""

from typing import Any

from distributed_hbt.data.example import BadRow, Passage

LANGUAGES = {"query_language": "zh", "passage_language": "zh"}


def test_scores_belong_to_their_passages(write: Any, read: Any) -> None:
    """Scores were dropped, or put to the wrong list."""
    row = {
        "query": "谁?", "pos": ["a", "b"], "neg": ["c"], "pos_scores": [1, 0.5], "neg_scores": [-2.5],
        "prompt": "Represent this sentence", "type": "normal",
    }  # fmt: skip
    (example,) = read(format="flagembedding", path=write("a.jsonl", row), **LANGUAGES)
    assert example.query == "谁?"
    assert example.positives == (Passage("", "", "a", 1.0), Passage("", "", "b", 0.5))
    assert example.negatives == (Passage("", "", "c", -2.5),)


def test_rows_with_one_query_are_one_group(write: Any, read: Any) -> None:
    """Two positives of one question, in two rows, became negatives of each other."""
    path = write(
        "a.jsonl", {"query": "q", "pos": ["a"]}, {"query": "r", "pos": ["b"]}, {"query": "q", "pos": ["c"]}
    )
    first, second, third = (row.group_id for row in read(format="flagembedding", path=path, **LANGUAGES))
    assert first == third
    assert first != second


def test_faults_are_named(write: Any, read: Any) -> None:
    """Lists of unequal length were cut to the shorter one."""
    path = write(
        "a.jsonl",
        {"query": "q", "pos": []},
        {"query": "q", "neg": ["a"]},
        {"query": "q", "pos": ["a"], "neg": ["b", ""]},
        {"query": "q", "pos": ["a"], "pos_scores": [1, 2]},
        {"query": "q", "pos": "a"},
        {"query": "q", "pos": ["a"], "neg": ["b"], "neg_scores": ["high"]},
    )
    assert read(format="flagembedding", path=path, **LANGUAGES) == [
        BadRow(f"{path}:1", "field 'pos' holds no positive passage"),
        BadRow(f"{path}:2", "field 'pos' is missing"),
        BadRow(f"{path}:3", "neg.1 is empty"),
        BadRow(f"{path}:4", "field 'pos_scores' has 2 entries for the 1 of 'pos'"),
        BadRow(f"{path}:5", "field 'pos' is a text, not a list"),
        BadRow(f"{path}:6", "neg_scores.0 is a text, not a number"),
    ]
