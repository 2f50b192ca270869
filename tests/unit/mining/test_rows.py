"""The rows of all sources, kept for mining."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from distributed_hbt.config.data import DataConfig
from distributed_hbt.data.example import Passage
from distributed_hbt.data.sources import read_rows
from distributed_hbt.errors import DataError
from distributed_hbt.mining.rows import keep_rows, read_kept
from tests.corpus_files import write_lines


def native(group: str, **changes: Any) -> dict[str, Any]:
    return {
        "group_id": group,
        "query": f"query {group}",
        "query_language": "eng",
        "passage_language": "de",
        "positive_passages": [{"docid": "d1", "title": "T", "text": "text\u2028two", "score": 0.5}],
        "negative_passages": [{"text": "no"}],
        **changes,
    }


def tevatron(query_id: str) -> dict[str, Any]:
    return {"query_id": query_id, "query": "q", "positive_passages": [{"text": "p"}]}


def data(*sources: dict[str, Any], **settings: Any) -> DataConfig:
    content = {"sources": sources, **settings}
    return TypeAdapter(DataConfig).validate_json(json.dumps(content, default=str))


def keep(config: DataConfig, folder: Path, limit: int = 1000) -> Path:
    return keep_rows(config, folder / "work", folder / "stores", max_characters=limit)


def test_rows_come_back_as_they_were_in_the_order_of_the_sources(tmp_path: Path) -> None:
    """Catches a lost score or title, a language code as it was written, rows in another order."""
    first = write_lines(tmp_path / "a.jsonl", native("2"), native("1"))
    second = write_lines(tmp_path / "b.jsonl", tevatron("2"), tevatron("2"))
    settings = {"query_language": "sw", "passage_language": "en"}
    config = data({"format": "hbt_jsonl", "path": first}, {"format": "tevatron", "path": second, **settings})
    rows = list(read_kept(keep(config, tmp_path)))
    assert [row.query for row in rows] == ["query 2", "query 1", "q", "q"]
    assert (rows[0].query_language, rows[0].passage_language) == ("en", "de")
    assert rows[0].positives == (Passage("d1", "T", "text\u2028two", 0.5),)
    assert rows[0].negatives == (Passage("", "", "no"),)


def test_groups_of_different_sources_stay_apart(tmp_path: Path) -> None:
    """Catches query 2 of one file that takes the positives of query 2 of another for its own."""
    languages = {"query_language": "en", "passage_language": "en"}
    paths = [write_lines(tmp_path / f"{name}.jsonl", tevatron("2"), tevatron("2")) for name in "ab"]
    native_rows = write_lines(tmp_path / "n.jsonl", native("2"))
    config = data(
        *({"format": "tevatron", "path": path, **languages} for path in paths),
        {"format": "hbt_jsonl", "path": native_rows},
    )
    groups = [row.group_id for row in read_kept(keep(config, tmp_path))]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert groups[4] == "2"
    shared = data(
        *({"format": "tevatron", "path": path, "group_namespace": "x", **languages} for path in paths)
    )
    assert {row.group_id for row in read_kept(keep(shared, tmp_path))} == {"x/2"}


def test_rows_are_read_once_while_the_files_stay(tmp_path: Path) -> None:
    """Catches a restart that reads everything again, and one that does not see that the data changed."""
    path = write_lines(tmp_path / "a.jsonl", native("1"))
    config = data({"format": "hbt_jsonl", "path": path})
    kept = keep(config, tmp_path)
    kept.write_text(kept.read_text().replace("query 1", "marked"))
    assert keep(config, tmp_path) == kept
    assert [row.query for row in read_kept(kept)] == ["marked"]
    write_lines(path, native("1"), native("2"))
    assert [row.query for row in read_kept(keep(config, tmp_path))] == ["query 1", "query 2"]


def test_bad_rows_are_refused_or_left_out_and_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Catches negatives for a tenth of the data without a word about the rest."""
    path = write_lines(tmp_path / "a.jsonl", native("1"), native("2", query=""), native("3"))
    config = data({"format": "hbt_jsonl", "path": path})
    with pytest.raises(DataError, match=r"a\.jsonl:2: 1 of 3 rows are unusable"):
        keep(config, tmp_path)
    assert not list(tmp_path.glob("work/*/*"))
    allowed = data({"format": "hbt_jsonl", "path": path}, max_bad_share=0.4)
    assert [row.group_id for row in read_kept(keep(allowed, tmp_path))] == ["1", "3"]
    assert "left out 1 of 3 rows" in caplog.text
    assert "a.jsonl:2" in caplog.text


def test_sources_without_rows_and_passages_without_end_are_refused(tmp_path: Path) -> None:
    """Catches an empty output, and a broken file that is encoded as one passage."""
    empty = data({"format": "hbt_jsonl", "path": write_lines(tmp_path / "e.jsonl")})
    with pytest.raises(DataError, match=r"data\.sources\.0: the hbt_jsonl source has no rows"):
        keep(empty, tmp_path)
    long = data({"format": "hbt_jsonl", "path": write_lines(tmp_path / "l.jsonl", native("1"))})
    with pytest.raises(DataError, match=r"l\.jsonl:1: a passage has 10 characters, more than 9; "):
        keep(long, tmp_path, limit=9)
    bad = write_lines(tmp_path / "b.jsonl", native("1", query=""))
    with pytest.raises(DataError, match="none of the rows is usable"):
        keep(data({"format": "hbt_jsonl", "path": bad}, max_bad_share=1.0), tmp_path)


def test_files_that_change_while_they_are_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches rows of two versions under the name of one, which a second start would take for the data's."""
    path = write_lines(tmp_path / "a.jsonl", native("1"))

    def read_and_change(source: Any) -> Any:
        yield from read_rows(source)
        write_lines(path, native("1"), native("2"))

    monkeypatch.setattr("distributed_hbt.mining.rows.read_rows", read_and_change)
    with pytest.raises(DataError, match="files changed while they were read"):
        keep(data({"format": "hbt_jsonl", "path": path}), tmp_path)
    assert not list(tmp_path.glob("work/*/*"))
