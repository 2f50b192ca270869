"""Sources: group ids, and sources without rows."""

import json
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.data import DataConfig
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_examples
from distributed_hbt.errors import DataError

PASSAGES = {"positive_passages": [{"docid": "p", "title": "", "text": "P"}]}
NATIVE = {"group_id": "1", "query": "Q", "query_language": "en", "passage_language": "en", **PASSAGES}
TEVATRON = {"query_id": "1", "query": "Q", **PASSAGES}
SQUAD = {"data": [{"paragraphs": [{"context": "C", "qas": [{"id": "1", "question": "Q", "answers": [{}]}]}]}]}


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, dict[str, Any]]:
    for name, content in (("native", NATIVE), ("tevatron", TEVATRON), ("squad", SQUAD)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
    return {
        "native": {"format": "hbt_jsonl", "path": f"{tmp_path}/native.json"},
        "tevatron": {
            "format": "tevatron", "path": f"{tmp_path}/tevatron.json", "query_language": "en",
            "passage_language": "en",
        },
        "squad": {"format": "squad", "path": f"{tmp_path}/squad.json", "languages": ["es"]},
    }  # fmt: skip


def config(*sources: dict[str, Any]) -> DataConfig:
    return DataConfig.model_validate_json(json.dumps({"sources": sources}))


def groups(*sources: dict[str, Any]) -> list[tuple[int, str]]:
    rows = list(read_examples(config(*sources)))
    assert all(isinstance(row, Example) for _, row in rows)
    return [(position, row.group_id) for position, row in rows if isinstance(row, Example)]


def test_group_ids_meet_only_where_they_mean_the_same(sources: dict[str, Any]) -> None:
    """Query 1 of one data set became the same question as query 1 of another."""
    native, tevatron, squad = (sources[name] for name in ("native", "tevatron", "squad"))
    assert groups(native, tevatron, squad, tevatron, native, squad) == [
        (0, "hbt_jsonl/1"), (1, "tevatron-1/1"), (2, "squad/1"), (3, "tevatron-3/1"), (4, "hbt_jsonl/1"),
        (5, "squad/1"),
    ]  # fmt: skip


def test_namespace_can_be_shared_or_set_apart(sources: dict[str, Any]) -> None:
    """Parallel data in two Tevatron files could not be joined."""
    tevatron = {**sources["tevatron"], "group_namespace": "ours"}
    native = {**sources["native"], "group_namespace": "other"}
    assert groups(tevatron, native, tevatron) == [(0, "ours/1"), (1, "other/1"), (2, "ours/1")]


def test_source_without_rows_is_refused(sources: dict[str, Any], tmp_path: Path) -> None:
    """A range beyond the last article gave a run without this source's data."""
    with pytest.raises(DataError, match=r"^data\.sources\.1: the squad source has no rows; "):
        groups(sources["native"], {**sources["squad"], "article_range": [5, 9]})
    (tmp_path / "native.json").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"^data\.sources\.0: the hbt_jsonl source has no rows; "):
        groups(sources["native"])
