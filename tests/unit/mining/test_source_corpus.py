"""The sources' own passages as a corpus."""

from pathlib import Path

import pytest

from distributed_hbt.data.example import Passage
from distributed_hbt.evaluation.corpus.files import read_rows
from distributed_hbt.evaluation.corpus.survey import check_unique, read_survey, survey_file
from distributed_hbt.mining.source_corpus import SourceCorpus
from tests.unit.mining.small import text


def rows(corpus: SourceCorpus) -> dict[str, dict[str, str]]:
    """language -> doc_id -> full text, read as the search reads it, and surveyed as it surveys."""
    found: dict[str, dict[str, str]] = {}
    for language, (file,) in corpus.files.items():
        output = file.path.with_suffix(".npz")
        survey_file(file, output, max_characters=1000)
        survey = read_survey(file, output)
        assert survey is not None
        check_unique([survey])
        read = read_rows(file, 0, survey.num_rows, max_characters=1000)
        found[language] = {row.doc_id: row.text for row in read}
    return found


def test_every_distinct_passage_stands_once_in_its_language(tmp_path: Path) -> None:
    """Catches a passage searched once a row that names it, and languages in one file."""
    with SourceCorpus(tmp_path) as corpus:
        assert corpus.add("en", text("one", "d1")) == "d1"
        assert corpus.add("en", text("one", "d1")) == "d1"
        assert corpus.add("en", text("one", "d2")) == "d1"
        assert corpus.add("de", text("one", "d1")) == "d1"
        assert corpus.add("de", Passage("d3", "Title", "zwei")) == "d3"
    assert rows(corpus) == {"en": {"d1": "one"}, "de": {"d1": "one", "d3": "Title zwei"}}
    assert corpus.id_of("en", text("one", "d9")) == "d1"


def test_ids_that_can_not_be_kept_become_others(tmp_path: Path) -> None:
    """Catches two sources that number from 1, columns without ids, and ids that a run file can not hold."""
    with SourceCorpus(tmp_path) as corpus:
        ids = [
            corpus.add("en", passage)
            for passage in (
                text("one", "1"),
                text("two", "1"),
                text("three", "1"),
                text("four"),
                text("five"),
                text("six", "a b"),
                text("seven", "a\n"),
                text("eight", "1"),
            )
        ]
    assert ids[0] == "1"
    assert all(doc_id.startswith("1~") for doc_id in (ids[1], ids[2], ids[7]))
    assert len(set(ids)) == 8
    assert all(doc_id.split() == [doc_id] for doc_id in ids)
    assert list(rows(corpus)["en"]) == ids


def test_a_made_up_id_gives_way_to_one_that_was_there(tmp_path: Path) -> None:
    """Catches a doc_id twice in a corpus, which the survey refuses."""
    with SourceCorpus(tmp_path / "first") as first:
        first.add("en", text("one", "1"))
        made_up = first.add("en", text("two", "1"))
    with SourceCorpus(tmp_path / "second") as second:
        second.add("en", text("one", "1"))
        assert second.add("en", text("three", made_up)) == made_up
        assert second.add("en", text("two", "1")) != made_up
    assert len(rows(second)["en"]) == 3


def test_equal_passages_give_equal_files(tmp_path: Path) -> None:
    """Catches an order or a name that differs from start to start: what was encoded would be done again."""
    for name in ("a", "b"):
        with SourceCorpus(tmp_path / name) as corpus:
            for language, number in (("en", 1), ("de", 2), ("en", 3)):
                corpus.add(language, text(f"text {number}"))
    assert (tmp_path / "a/docs-000.jsonl").read_bytes() == (tmp_path / "b/docs-000.jsonl").read_bytes()
    assert (tmp_path / "a/docs-001.jsonl").read_bytes() == (tmp_path / "b/docs-001.jsonl").read_bytes()


def test_an_error_leaves_no_file(tmp_path: Path) -> None:
    """Catches half a corpus that is then searched as the whole."""

    def fail(corpus: SourceCorpus) -> None:
        with corpus:
            corpus.add("en", text("one"))
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        fail(SourceCorpus(tmp_path))
    assert list(tmp_path.iterdir()) == []
