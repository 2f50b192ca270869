"""The texts of what was chosen, and the passages of corpus files."""

import gzip
from pathlib import Path

import pytest

from distributed_hbt.data.example import Passage
from distributed_hbt.data.formats.text_index import TextIndex
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.mining.corpus_keys import Corpora
from distributed_hbt.mining.passages import read_passages_at
from distributed_hbt.mining.texts import ChosenTexts, pick_texts
from tests.corpus_files import passage, write_lines
from tests.unit.mining.small import LIMIT, surveyed


def corpora(folder: Path) -> Corpora:
    english = [passage(f"d{n}", f"text\u2028{n}", f"title {n}") for n in range(6)]
    german = [{"docid": 2, "text": "zwei", "title": None}, passage("d1", "eins"), passage("d3", " ", "drei")]
    return surveyed(folder, en=[english[:3], english[3:]], de=[german])


def test_chosen_passages_come_with_title_and_text(tmp_path: Path) -> None:
    """Catches a title glued to its text, the German d1 for the English one, and an id that is a number."""
    with TextIndex() as index:
        texts = ChosenTexts(index)
        chosen = {"en": {"d1", "d5"}, "de": {"2", "d1", "d3"}}
        pick_texts(chosen, corpora(tmp_path), texts, tmp_path, LocalExecutor("cpu"))
        assert texts.passage("en", "d1") == Passage("d1", "title 1", "text\u20281")
        assert texts.passage("en", "d5") == Passage("d5", "title 5", "text\u20285")
        assert texts.passage("de", "d1") == Passage("d1", "", "eins")
        assert texts.passage("de", "2") == Passage("2", "", "zwei")
        assert texts.passage("de", "d3") == Passage("d3", "", "drei")  # rows need a text
        assert texts.passage("en", "d2") is None


def test_a_corpus_that_changed_is_noticed(tmp_path: Path) -> None:
    """Catches the text of another passage as the negative, where a row was put in since the search."""
    found = corpora(tmp_path)
    path = found["en"][1].file.path
    lines = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(b'{"docid": "new", "title": "", "text": "new"}\n' + lines))
    with TextIndex() as index, pytest.raises(DataError, match="was changed while it was read"):
        pick_texts({"en": {"d4"}}, found, ChosenTexts(index), tmp_path, LocalExecutor("cpu"))


def test_rows_are_counted_as_the_survey_counts_them(tmp_path: Path) -> None:
    """Catches blank lines that count as passages."""
    write_lines(tmp_path / "en/docs-0.jsonl.gz")
    (survey,) = surveyed(tmp_path, en=[[passage("d0")]])["en"]
    survey.file.path.write_bytes(
        gzip.compress(b'\n{"docid": "a", "text": "x"}\n\n \n{"docid": "b", "text": "y"}\n')
    )
    (found,) = read_passages_at(survey.file, [1], max_characters=LIMIT)
    assert found.docid == "b"
    with pytest.raises(DataError, match="was changed"):
        list(read_passages_at(survey.file, [1, 2], max_characters=LIMIT))
