"""The lines that mining writes."""

import json
from pathlib import Path

import pytest

from distributed_hbt.data.formats.text_index import TextIndex
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.mining.choose import Negative
from distributed_hbt.mining.texts import ChosenTexts
from distributed_hbt.mining.write import write_rows
from tests.corpus_files import passage, write_lines
from tests.unit.mining.small import make_row, text

ROW = make_row("g", "q", "en-de", [text("ja", "d1")], [text("nein", "d2")])


def test_a_line_holds_the_row_and_then_what_was_mined(tmp_path: Path) -> None:
    """Catches given negatives behind mined ones or lost, float32 digits of no meaning, and a similarity that
    training takes for a reranker's score."""
    with TextIndex() as index:
        texts = ChosenTexts(index)
        texts.fill("sw", write_lines(tmp_path / "picked.jsonl", passage("d3", "hapana", "T")))
        write_rows([(ROW, [Negative("sw", "d3", 0.12345678806304932, 4)])], texts, tmp_path / "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {
        "query_id": "g",
        "group_id": "g",
        "query": "q",
        "query_language": "en",
        "passage_language": "de",
        "positive_passages": [passage("d1", "ja")],
        "negative_passages": [
            passage("d2", "nein"),
            {**passage("d3", "hapana", "T"), "language": "sw", "rank": 4, "similarity": 0.123456788},
        ],
    }


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    """Catches a traceback at the very end, when everything is mined."""
    (tmp_path / "out.jsonl").mkdir()
    with TextIndex() as index, pytest.raises(WorkerFailed, match=r"out\.jsonl: can not be written \("):
        write_rows([(ROW, [])], ChosenTexts(index), tmp_path / "out.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
