"""LAReQA's files, XQuAD-R and MLQA-R."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.evaluation import XQUAD_R_LANGUAGES
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.lareqa import load_lareqa


def question(identity: str, answer_start: int) -> dict[str, Any]:
    return {
        "id": identity,
        "question": f"{identity}?",
        "answers": [{"answer_start": answer_start, "text": "x"}],
    }


def paragraph(context: str, breaks: list[list[int]], *questions: dict[str, Any]) -> dict[str, Any]:
    return {"context": context, "sentence_breaks": breaks, "sentences": ["not used"], "qas": list(questions)}


def write(root: Path, language: str, *articles: list[dict[str, Any]]) -> Path:
    path = root / f"{language}.json"
    content = {"data": [{"title": "t", "paragraphs": article} for article in articles]}
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two languages; q2 is asked in English only; the third sentence of English repeats the first."""
    breaks = [[0, 3], [4, 7], [8, 11]]
    write(
        tmp_path,
        "en",
        [paragraph("One two", [[0, 3], [4, 7]], question("q1", 4))],
        [paragraph("Aa. Bb. Aa.", breaks, question("q2", 8)), paragraph("Cc.", [[0, 3]], question("q3", 0))],
    )
    write(
        tmp_path,
        "de",
        [paragraph("\ufeffEins zwei", [[0, 5], [6, 10]], question("q1", 6))],
        [paragraph("Dd.", [[0, 3]]), paragraph("Ee. Ff.", [[0, 3], [4, 7]], question("q3", 4))],
    )
    return tmp_path


def test_ids_name_language_article_paragraph_and_sentence(root: Path) -> None:
    """Catches candidates keyed by text (a repeated sentence lost) and positions that start from 1."""
    collection = load_lareqa(root, ["en", "de"])
    assert [(entry.id, entry.text) for entry in collection.candidates["en"]] == [
        ("en:0:0:0", "One"),
        ("en:0:0:1", "two"),
        ("en:1:0:0", "Aa."),
        ("en:1:0:1", "Bb."),
        ("en:1:0:2", "Aa."),
        ("en:1:1:0", "Cc."),
    ]
    assert [(entry.id, entry.text) for entry in collection.queries["en"]] == [
        ("en:q1", "q1?"),
        ("en:q2", "q2?"),
        ("en:q3", "q3?"),
    ]


def test_relevant_are_the_answer_sentences_of_every_language_that_asks(root: Path) -> None:
    """Catches a relevant set of the own language only, and questions of one language that are refused."""
    assert load_lareqa(root, ["en", "de"]).qrels == {
        "en:q1": {"en:0:0:1": 1, "de:0:0:1": 1},
        "en:q2": {"en:1:0:2": 1},
        "en:q3": {"en:1:1:0": 1, "de:1:1:1": 1},
        "de:q1": {"en:0:0:1": 1, "de:0:0:1": 1},
        "de:q3": {"en:1:1:0": 1, "de:1:1:1": 1},
    }


def test_sentences_are_cut_by_code_point(root: Path) -> None:
    """Catches a byte order mark that is dropped at reading, which shifts every break by one."""
    texts = [entry.text for entry in load_lareqa(root, ["de"]).candidates["de"]]
    assert texts[:2] == ["\ufeffEins", "zwei"]


def test_context_follows_the_sentence(root: Path) -> None:
    """Catches a sentence that truncation of a long paragraph would take away."""
    collection = load_lareqa(root, ["en"], candidate="sentence_with_context")
    assert collection.candidates["en"][1].text == "two One two"


def test_article_range_restricts_both_sides_and_keeps_positions(root: Path) -> None:
    """Catches articles that are numbered anew, and candidates outside the range."""
    collection = load_lareqa(root, ["en", "de"], article_range=(1, 2))
    assert [entry.id for entry in collection.candidates["de"]] == ["de:1:0:0", "de:1:1:0", "de:1:1:1"]
    assert [entry.id for entry in collection.queries["en"]] == ["en:q2", "en:q3"]


def test_a_gzipped_file_is_read(root: Path) -> None:
    """Catches a reader of plain files only."""
    plain = load_lareqa(root, ["en"])
    path = root / "en.json"
    (root / "en.json.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert load_lareqa(root, ["en"]) == plain


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [}', r"en\.json:1: is not JSON"),
        ('{"version": 1}', r"en\.json: 'data' is missing"),
        ('{"data": [{"title": "t"}]}', r"en\.json: article 0: 'paragraphs' is missing"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, content: str, message: str) -> None:
    """Catches a bare KeyError or JSONDecodeError."""
    (tmp_path / "en.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        load_lareqa(tmp_path, ["en"])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (paragraph("Aa. Bb.", [[0, 3], [4, 7]], question("q", 3)), r"question q: answer_start 3 is in no"),
        (paragraph("Aa.", [[0, 9]], question("q", 0)), r"paragraph 1: sentence_breaks holds \[0, 9\]"),
        (paragraph("Aa.", [[0, 3]], question("q1", 0)), r"question id q1 occurs before"),
        (paragraph("Aa.", [[0, 3]], question("q 2", 0)), r"the id is empty or holds a space"),
        (paragraph("Aa.", [[0, 3]], question("q", 0) | {"answers": []}), r"question q: has no answer"),
    ],
)
def test_a_broken_paragraph_is_named(tmp_path: Path, broken: dict[str, Any], message: str) -> None:
    """Catches answers that silently belong to no sentence, and breaks that Python's slices forgive."""
    good = paragraph("One two", [[0, 3], [4, 7]], question("q1", 4))
    write(tmp_path, "en", [good, broken])
    with pytest.raises(DataError, match=message) as caught:
        load_lareqa(tmp_path, ["en"])
    assert f"{tmp_path / 'en.json'}: article 0, paragraph 1" in str(caught.value)


def test_a_cut_off_gzip_file_is_refused(root: Path) -> None:
    """Catches an EOFError or zlib.error that reaches the user."""
    whole = gzip.compress((root / "en.json").read_bytes())
    (root / "en.json").unlink()
    (root / "en.json.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"en\.json\.gz: can not be read"):
        load_lareqa(root, ["en"])


def test_missing_language_empty_range_and_repeated_language_are_refused(root: Path) -> None:
    """Catches an evaluation of nothing, and one that counts a language twice."""
    with pytest.raises(DataError, match=r"fr\.json: neither this file nor its \.gz is there"):
        load_lareqa(root, ["en", "fr"])
    with pytest.raises(DataError, match=r"en\.json: no question in article_range \[2, 9\]"):
        load_lareqa(root, ["en"], article_range=(2, 9))
    with pytest.raises(DataError, match="'en' is named twice"):
        load_lareqa(root, ["en", "de", "en"])


def test_xquad_r_has_the_published_size(shared_data: Path) -> None:
    """Catches sentences that are lost, and questions without their 11 answers (arXiv 2004.05484, table 1)."""
    collection = load_lareqa(shared_data / "xquad-r", XQUAD_R_LANGUAGES)
    assert collection.num_candidates == 13014
    assert collection.num_queries == 13090
    assert {language: len(queries) for language, queries in collection.queries.items()} == dict.fromkeys(
        XQUAD_R_LANGUAGES, 1190
    )
    assert Counter(map(len, collection.qrels.values())) == {11: 13090}
    ids = {entry.id for entries in collection.candidates.values() for entry in entries}
    assert len(ids) == 13014
    assert all(set(relevant) <= ids for relevant in collection.qrels.values())
    covered = {
        tuple(sorted(doc_id.partition(":")[0] for doc_id in relevant))
        for relevant in collection.qrels.values()
    }
    assert covered == {tuple(sorted(XQUAD_R_LANGUAGES))}


def test_xquad_r_turkish_sentences_are_the_slices(shared_data: Path) -> None:
    """Catches use of the `sentences` field, which differs from the breaks in one Turkish paragraph."""
    with gzip.open(shared_data / "xquad-r" / "tr.json.gz", "rt", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    differ = 0
    expected = []
    for article in articles:
        for content in article["paragraphs"]:
            cut = [content["context"][start:end] for start, end in content["sentence_breaks"]]
            differ += cut != content["sentences"]
            expected += cut
    candidates = load_lareqa(shared_data / "xquad-r", ["tr"]).candidates["tr"]
    assert differ == 1
    assert [entry.text for entry in candidates] == expected


def test_xquad_r_held_out_articles(shared_data: Path) -> None:
    """Catches a range that is not half open: articles 38 to 47 hold 220 questions in each language."""
    collection = load_lareqa(shared_data / "xquad-r", ["en", "th"], article_range=(38, 48))
    assert {language: len(queries) for language, queries in collection.queries.items()} == {
        "en": 220,
        "th": 220,
    }
    assert {entry.id.split(":")[1] for entry in collection.candidates["th"]} == set(map(str, range(38, 48)))
