"""AfriQA's gold passages."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distributed_hbt.data.example import BadRow, Example

ROW = {
    "answer_pivot": {"answer_start": [0], "text": ["1980"]}, "context": "He died in 1980.", "id": "0",
    "question_lang": "Bafwile mwaka nshi?", "question_translated": "When did he die?", "title": "Kapwepwe",
    "answer_lang": "1980",
}  # fmt: skip


def settings(path: str, *languages: str, **more: Any) -> dict[str, Any]:
    return {"format": "afriqa", "path": path, "languages": languages, **more}


def test_question_is_african_and_passage_in_the_pivot_language(write: Any, read: Any) -> None:
    """A French passage taken for English, or languages under names that no other format gives."""
    bem = write("gold.bem.en.dev.json", ROW)
    write("gold.hau.en.dev.json", ROW)
    write("gold.fon.fr.dev.json.gz", ROW)
    pattern = bem.replace(".bem.en.dev.json", ".{language}.*.dev.json*")
    first, second, third = read(**settings(pattern, "bem", "fon", "hau"))
    languages = [(row.query_language, row.passage_language) for row in (first, second, third)]
    assert languages == [("bem", "en"), ("fon", "fr"), ("ha", "en")]
    assert (first.query, first.positives[0].full_text) == (
        "Bafwile mwaka nshi?",
        "Kapwepwe He died in 1980.",
    )
    assert first.where == f"{bem}:1"
    (named,) = read(**settings(bem, "bem", passage_language="fra"))
    assert named.passage_language == "fr"


def test_ids_of_two_splits_are_two_groups(write: Any, read: Any) -> None:
    """Question 0 of train and question 0 of dev became one group, each the other's positive."""
    train = write("gold.bem.en.train.json.gz", ROW)
    write("gold.bem.en.dev.json", ROW, {**ROW, "id": "1"})
    groups = [row.group_id for row in read(**settings(train.replace("train.json.gz", "*"), "bem"))]
    assert groups == ["gold.bem.en.dev:0", "gold.bem.en.dev:1", "gold.bem.en.train:0"]


def test_equal_passages_have_one_docid(write: Any, read: Any) -> None:
    """A passage of two questions stood twice in a corpus; or two texts under one title became one."""
    path = write("a.json", ROW, {**ROW, "id": "1"}, {**ROW, "id": "2", "context": "Another."})
    first, second, third = (row.positives[0].docid for row in read(**settings(path, "bem")))
    assert first == second != third


def test_translated_question_is_of_the_same_group(write: Any, read: Any) -> None:
    """The translation of a question whose passage counted as a negative of the question."""
    african, english = read(**settings(write("a.json", ROW), "bem", translated_questions=True))
    assert african.group_id == english.group_id
    assert (english.query, english.query_language, english.passage_language) == (
        *("When did he die?", "en", "en"),
    )
    assert african.positives == english.positives


def test_lines_without_question_or_passage_are_bad_rows(write: Any, read: Any) -> None:
    """A bare NaN that ended the reading, or a question asked for the text 'None'."""
    nan = '{"id": "1", "answer_lang": NaN, "question_lang": "Q", "context": "C", "title": "T"}\n'
    path = write(
        "a.json", {**ROW, "title": None}, nan, {**ROW, "context": None}, {**ROW, "question_lang": "  "},
        {**ROW, "title": 3},
    )  # fmt: skip
    first, *bad = read(**settings(path, "bem"))
    assert isinstance(first, Example)
    assert first.positives[0].full_text == "He died in 1980."
    assert bad == [
        BadRow(f"{path}:2", "is broken JSON (holds NaN, which is no JSON value)"),
        BadRow(f"{path}:3", "field 'context' is null"),
        BadRow(f"{path}:4", "field 'question_lang' is empty"),
        BadRow(f"{path}:5", "field 'title' is a number, not a text"),
    ]


def test_several_languages_need_a_place_in_the_path(read: Any) -> None:
    """One file read as two languages."""
    with pytest.raises(ValidationError, match=r"path has no \{language\}"):
        read(**settings("a.json", "bem", "hau"))


def test_published_files_are_read(read: Any, shared_data: Path) -> None:
    """Counts of the files as they are: 7,210 rows, 7,054 with question and passage, 6 with a bare NaN."""
    languages = ("bem", "fon", "hau", "ibo", "kin", "swa", "twi", "yor", "zul")
    pattern = f"{shared_data}/afriqa-gold/gold_span_passages.afriqa.{{language}}.*.json.gz"
    rows = read(**settings(pattern, *languages))
    good = [row for row in rows if isinstance(row, Example)]
    faults = Counter(row.reason for row in rows if isinstance(row, BadRow))
    assert len(rows) == 7210
    assert (len(good), faults["is broken JSON (holds NaN, which is no JSON value)"]) == (7050, 6)
    assert {(row.query_language, row.passage_language) for row in good} == {
        *(("bem", "en"), ("fon", "fr"), ("ha", "en"), ("ig", "en"), ("rw", "en")),
        *(("sw", "en"), ("tw", "en"), ("yo", "en"), ("zu", "en")),
    }
    assert len({row.group_id for row in good}) == len(good)
