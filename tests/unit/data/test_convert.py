"""Any format, written as hbt_jsonl."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from distributed_hbt.config.data import Source
from distributed_hbt.data.convert import convert
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_rows
from distributed_hbt.errors import DataError


def source(**settings: Any) -> Source:
    chosen: Source = TypeAdapter(Source).validate_json(json.dumps(settings))
    return chosen


@pytest.fixture
def flag(tmp_path: Path) -> Source:
    rows = [
        {"query": "q\u2028", "pos": ["é", "😀"], "neg": ["n"], "pos_scores": [1, 0.25]},
        {"query": "r", "pos": ["p"]},
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return source(format="flagembedding", path=str(path), query_language="deu", passage_language="en")


def content(row: Any) -> tuple[Any, ...]:
    assert isinstance(row, Example)
    return row.query, row.query_language, row.passage_language, row.positives, row.negatives


@pytest.mark.parametrize("name", ["out.jsonl", "inner/out.jsonl.gz"])
def test_converted_rows_read_as_the_original(flag: Source, tmp_path: Path, name: str) -> None:
    """A score, a language or a text was lost on the way."""
    report = convert(flag, tmp_path / name)
    assert (report.good, report.bad) == (2, 0)
    again = list(read_rows(source(format="hbt_jsonl", path=str(tmp_path / name))))
    assert [content(row) for row in again] == [content(row) for row in read_rows(flag)]


def test_equal_content_gives_equal_files(flag: Source, tmp_path: Path) -> None:
    """A time stamp in the gzip header changed the file's digest from run to run."""
    convert(flag, tmp_path / "a.jsonl.gz")
    convert(flag, tmp_path / "b.jsonl.gz")
    first, second = ((tmp_path / name).read_bytes() for name in ("a.jsonl.gz", "b.jsonl.gz"))
    assert first == second
    assert first[4:8] == bytes(4)


def group_ids(chosen: Source, tmp_path: Path) -> list[str]:
    convert(chosen, tmp_path / "out.jsonl.gz")
    with gzip.open(tmp_path / "out.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line)["group_id"] for line in file]


def test_group_ids_of_unrelated_data_stay_apart(flag: Source, tmp_path: Path) -> None:
    """Query 1 of two data sets, both converted, became one question, as hbt_jsonl sources share ids."""
    squad = {
        "data": [{"paragraphs": [{"context": "C", "qas": [{"id": "7", "question": "Q", "answers": [1]}]}]}]
    }
    (tmp_path / "s.json").write_text(json.dumps(squad), encoding="utf-8")
    row = {"query_id": "1", "query": "Q", "positive_passages": [{"text": "P"}]}
    for name in ("x.jsonl", "y.jsonl"):
        (tmp_path / name).write_text(json.dumps(row), encoding="utf-8")
    assert group_ids(source(format="squad", path=f"{tmp_path}/s.json", languages=["es"]), tmp_path) == ["7"]
    languages = {"query_language": "en", "passage_language": "en"}
    (first,) = group_ids(source(format="tevatron", path=f"{tmp_path}/x.jsonl", **languages), tmp_path)
    (second,) = group_ids(source(format="tevatron", path=f"{tmp_path}/y.jsonl", **languages), tmp_path)
    assert first != second
    assert first.endswith("/1")
    named = source(format="tevatron", path=f"{tmp_path}/x.jsonl", group_namespace="ours", **languages)
    assert group_ids(named, tmp_path) == ["ours/1"]


def test_failure_leaves_the_old_file_and_nothing_else(flag: Source, tmp_path: Path) -> None:
    """A refused conversion left half a file under the final name."""
    path = tmp_path / "in.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + "{broken\n", encoding="utf-8")
    for name in ("out.jsonl", "out.jsonl.gz"):
        (tmp_path / name).write_text("old", encoding="utf-8")
        with pytest.raises(DataError, match=r"in\.jsonl:3: 1 of 3 rows are unusable"):
            convert(flag, tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl", "out.jsonl.gz"]
    report = convert(flag, tmp_path / "out.jsonl", max_bad_share=0.5)
    assert (report.good, report.bad) == (2, 1)


@pytest.mark.parametrize("name", ["out.json", "out", "out.gz"])
def test_other_suffix_is_refused(flag: Source, tmp_path: Path, name: str) -> None:
    """The readers would not have found the file in its folder."""
    with pytest.raises(DataError, match=r"has neither the suffix \.jsonl nor \.jsonl\.gz"):
        convert(flag, tmp_path / name)
