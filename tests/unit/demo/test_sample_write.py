"""The sample as files."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from distributed_hbt.config.data import HbtJsonlSource
from distributed_hbt.data.example import Example
from distributed_hbt.data.sources import read_source
from distributed_hbt.demo.sample.facts import load_facts, split
from distributed_hbt.demo.sample.render import answer, question
from distributed_hbt.demo.sample.tables import LANGUAGES
from distributed_hbt.demo.sample.write import SPLIT_SEED, SampleFiles, write_sample
from distributed_hbt.evaluation.benchmarks.lareqa import load_lareqa

HELD_OUT = split(load_facts(), SPLIT_SEED)[1]
FACTS = {fact.id: fact for fact in load_facts()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleFiles:
    return write_sample(tmp_path_factory.mktemp("sample"))


def _examples(sample: SampleFiles) -> list[Example]:
    rows = list(read_source(HbtJsonlSource(format="hbt_jsonl", path=str(sample.train)), 0))
    assert all(isinstance(row, Example) for row in rows), rows
    return [row for row in rows if isinstance(row, Example)]


def test_training_rows_are_good_rows_in_every_language(sample: SampleFiles) -> None:
    """Catches rows that the reader refuses, and a language left out of a group."""
    examples = _examples(sample)
    assert Counter(example.query_language for example in examples) == dict.fromkeys(LANGUAGES, 373)
    assert all(example.query_language == example.passage_language for example in examples)
    assert set(Counter(example.group_id for example in examples).values()) == {8}
    assert len({example.positives[0].docid for example in examples}) == 373 * 8


def test_wording_varies_between_the_languages_of_a_fact_and_between_facts(sample: SampleFiles) -> None:
    """Catches a choice of pattern that is the same for every row."""
    first_pattern: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    for example in _examples(sample):
        fact = FACTS[example.group_id.rsplit("/", 1)[-1]]
        if example.query == question(fact, example.query_language, 1):
            first_pattern[example.query_language].add(fact.id)
    assert all(373 * 0.4 < len(chosen) < 373 * 0.6 for chosen in first_pattern.values())
    assert len(set(map(frozenset, first_pattern.values()))) == 8


def test_nothing_of_a_held_out_fact_is_trained_on(sample: SampleFiles) -> None:
    """Catches a leak: a held-out sentence, in any wording, among the training texts."""
    texts = {text for e in _examples(sample) for text in (e.query, e.positives[0].text)}
    said = {answer(fact, language, v).text for fact in HELD_OUT for language in LANGUAGES for v in (1, 2)}
    assert len(said) >= 93 * 8
    assert said & texts == set()
    asked = load_lareqa(sample.held_out, LANGUAGES).queries
    assert {entry.text for entries in asked.values() for entry in entries} & texts == set()


def test_held_out_facts_are_a_parallel_benchmark(sample: SampleFiles) -> None:
    """Catches ids or positions that differ between languages, and an answer that is no candidate."""
    collection = load_lareqa(sample.held_out, LANGUAGES)
    for language in LANGUAGES:
        assert len(collection.queries[language]) == len(collection.candidates[language]) == 93
        texts = {entry.id: entry.text for entry in collection.candidates[language]}
        assert len(set(texts.values())) == 93
        for fact in HELD_OUT:
            relevant = collection.qrels[f"{language}:{fact.id}"]
            assert len(relevant) == 8
            (own,) = [doc_id for doc_id in relevant if doc_id.startswith(f"{language}:")]
            assert texts[own] in {answer(fact, language, variant).text for variant in (1, 2)}


def test_breaks_and_answers_are_cut_by_code_points(sample: SampleFiles) -> None:
    """Catches positions in bytes or UTF-16 units, and answers that are not where they are said to be."""
    for language in LANGUAGES:
        content = json.loads((sample.held_out / f"{language}.json").read_text(encoding="utf-8"))
        paragraphs = [p for article in content["data"] for p in article["paragraphs"]]
        assert max(len(p["qas"]) for p in paragraphs) == 5
        for p in paragraphs:
            assert [p["context"][start:end] for start, end in p["sentence_breaks"]] == p["sentences"]
            for qa, (start, end) in zip(p["qas"], p["sentence_breaks"], strict=True):
                (found,) = qa["answers"]
                at = found["answer_start"]
                assert start <= at < at + len(found["text"]) <= end
                assert p["context"][at : at + len(found["text"])] == found["text"]


def test_a_known_question_has_its_known_answer(sample: SampleFiles) -> None:
    """Catches a sentence that answers the question of its neighbour."""
    content = json.loads((sample.held_out / "ru.json").read_text(encoding="utf-8"))
    found = {
        qa["id"]: (qa["question"], qa["answers"][0]["text"])
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    }
    assert found["capital-ireland"] == ("Какой город является столицей Ирландии?", "Дублин")


def test_writing_again_changes_no_file_and_another_folder_gets_the_same_bytes(tmp_path: Path) -> None:
    """Catches files that are rewritten under a running job, and bytes that depend on the call."""
    write_sample(tmp_path / "a")
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in _files(tmp_path / "a")}
    write_sample(tmp_path / "a")
    assert before == {path: (path.read_bytes(), path.stat().st_ino) for path in _files(tmp_path / "a")}
    write_sample(tmp_path / "b")
    names = sorted(path.relative_to(tmp_path / "a") for path in before)
    assert names == sorted(path.relative_to(tmp_path / "b") for path in _files(tmp_path / "b"))
    assert len(names) == 9
    assert all(
        (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes() == content[0]
        for path, content in before.items()
    )


def test_a_damaged_file_is_replaced_whole(tmp_path: Path) -> None:
    """Catches a file cut short by a full disk that stays so, and half-written leftovers."""
    files = write_sample(tmp_path)
    whole = files.train.read_bytes()
    files.train.write_bytes(whole[:1000])
    write_sample(tmp_path)
    assert files.train.read_bytes() == whole
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith(".")]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
