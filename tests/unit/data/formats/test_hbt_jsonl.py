"""The native row, and what every JSON line format has in common."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.errors import DataError

ROW: dict[str, Any] = {
    "group_id": "g1",
    "query": "Wer?",
    "query_language": "deu",
    "passage_language": "en",
    "positive_passages": [{"docid": "p1", "title": "T", "text": "He.", "score": 0.5}],
    "negative_passages": [{"docid": "n1", "title": "", "text": "She."}],
}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != name}


def test_row_becomes_an_example(write: Any, read: Any) -> None:
    """A field was lost or put elsewhere."""
    path = write("a.jsonl", ROW)
    assert read(format="hbt_jsonl", path=path) == [
        Example(
            group_id="g1",
            query="Wer?",
            query_language="de",
            passage_language="en",
            positives=(Passage("p1", "T", "He.", 0.5),),
            negatives=(Passage("n1", "", "She."),),
            where=f"{path}:1",
        )
    ]


def test_negatives_docids_and_titles_may_be_missing(write: Any, read: Any) -> None:
    """A row with positives alone was refused."""
    row = {**without("negative_passages"), "group_id": 7, "positive_passages": [{"text": "He."}]}
    (example,) = read(format="hbt_jsonl", path=write("a.jsonl", row))
    assert example.group_id == "7"
    assert example.positives == (Passage("", "", "He."),)
    assert example.negatives == ()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (without("query"), "field 'query' is missing"),
        (without("group_id"), "field 'group_id' is missing"),
        (without("positive_passages"), "field 'positive_passages' is missing"),
        ({**ROW, "query": None}, "field 'query' is null"),
        ({**ROW, "query": " \t"}, "field 'query' is empty"),
        ({**ROW, "query": 3}, "field 'query' is a number, not a text"),
        ({**ROW, "group_id": True}, "field 'group_id' is a boolean, not a text"),
        ({**ROW, "query_language": ""}, "field 'query_language' is empty"),
        ({**ROW, "positive_passages": []}, "field 'positive_passages' holds no positive passage"),
        ({**ROW, "positive_passages": "p"}, "field 'positive_passages' is a text, not a list"),
        ({**ROW, "positive_passages": ["p"]}, "positive_passages.0 is a text, not an object with a text"),
        ({**ROW, "positive_passages": [{"docid": "p"}]}, "positive_passages.0 has no text"),
        ({**ROW, "positive_passages": [{"text": "x"}, {"text": " "}]}, "positive_passages.1.text is empty"),
        ({**ROW, "negative_passages": [{"text": ""}]}, "negative_passages.0.text is empty"),
        ({**ROW, "positive_passages": [{"text": "x", "score": "1"}]},
         "positive_passages.0.score is a text, not a number"),
        (json.dumps(ROW).replace("0.5", "1e999") + "\n",
         "positive_passages.0.score is inf, not a finite number"),
        (json.dumps(ROW).replace("Wer?", "\\ud800") + "\n", "field 'query' is not valid Unicode"),
        ("[1]\n", "is no JSON object"),
        ('{"query": \n', "is broken JSON (Expecting value at character 11)"),
        (json.dumps({**ROW, "extra": float("nan")}) + "\n",
         "is broken JSON (holds NaN, which is no JSON value)"),
        (b'{"query": "\xff"}\n', "is not valid UTF-8"),
        ("[" * 100_000 + "\n", None),
    ],
)  # fmt: skip
def test_unusable_row_says_why_and_the_others_are_read(
    write: Any, read: Any, row: Any, reason: str | None
) -> None:
    """A bad row ended the reading, became an example with an empty text, or did not say what it lacks."""
    path = write("a.jsonl", ROW, row, ROW)
    first, bad, last = read(format="hbt_jsonl", path=path)
    assert (first.where, last.where) == (f"{path}:1", f"{path}:3")
    assert isinstance(bad, BadRow)
    assert bad.where == f"{path}:2"
    if reason is None:
        assert bad.reason.startswith("is broken JSON (")
    else:
        assert bad.reason == reason


def test_mark_at_the_start_and_blank_lines_are_no_rows(write: Any, read: Any) -> None:
    """A byte order mark made the first row broken JSON; a blank line was a bad row."""
    path = write("a.jsonl", b"\xef\xbb\xbf", ROW, "\n", " \r\n", ROW)
    assert [row.where for row in read(format="hbt_jsonl", path=path)] == [f"{path}:1", f"{path}:4"]


def test_folder_is_read_file_by_file(write: Any, read: Any, tmp_path: Path) -> None:
    """Shards were read in no fixed order."""
    write("data/b.jsonl.gz", ROW)
    write("data/a.jsonl", ROW)
    names = [Path(row.where).name for row in read(format="hbt_jsonl", path=str(tmp_path / "data"))]
    assert names == ["a.jsonl:1", "b.jsonl.gz:1"]


def test_parquet_rows_are_read_as_json_lines_are(write: Any, read: Any, tmp_path: Path) -> None:
    """Parquet was fed to the JSON parser, or its structs were no mappings."""
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([ROW, {**ROW, "query": ""}]), tmp_path / "a.parquet")
    good, bad = read(format="hbt_jsonl", path=str(tmp_path / "a.parquet"))
    assert good.positives == (Passage("p1", "T", "He.", 0.5),)
    assert bad == BadRow(f"{tmp_path}/a.parquet:2", "field 'query' is empty")


def test_damaged_parquet_is_a_data_error(write: Any, read: Any) -> None:
    """A damaged Parquet file ended in a traceback."""
    with pytest.raises(DataError, match="can not be read as Parquet after row 0"):
        read(format="hbt_jsonl", path=write("a.parquet", "PAR1 but no more than that"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path, stream: Callable[..., Any]) -> None:
    """The whole file was read into memory."""
    path = tmp_path / "large.jsonl.gz"
    line = json.dumps({**ROW, "positive_passages": [{"docid": "p", "title": "", "text": "word " * 200}]})
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
        for _ in range(30_000):
            file.write(line + "\n")
    tracemalloc.start()
    count = sum(1 for _ in stream(format="hbt_jsonl", path=str(path)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 30_000
    assert peak < 1_000_000, f"{peak} bytes at most, for {30_000 * len(line)} bytes of rows"
