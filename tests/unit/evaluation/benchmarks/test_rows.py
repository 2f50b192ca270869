"""Training data as a benchmark."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from distributed_hbt.config.evaluation import Benchmark, RowsBenchmark
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.judged import JudgedCorpus
from distributed_hbt.evaluation.benchmarks.rows import load_rows
from tests.corpus_files import passage, write_lines


def benchmark(*sources: dict[str, Any], **more: Any) -> RowsBenchmark:
    content = {"name": "rows", "label": "ours", "sources": sources, **more}
    found = TypeAdapter(Benchmark).validate_json(json.dumps(content))
    assert isinstance(found, RowsBenchmark)
    return found


def row(group: str, query: str, pair: str, positives: list[Any], negatives: list[Any] | None = None) -> Any:
    asked, answered = pair.split("-")
    return {
        **{"group_id": group, "query": query, "query_language": asked, "passage_language": answered},
        **{"positive_passages": positives, "negative_passages": negatives or []},
    }


def native(path: Path, **more: Any) -> dict[str, Any]:
    return {"format": "hbt_jsonl", "path": str(path), **more}


def queries(task: JudgedCorpus) -> dict[str, str]:
    return {query.id: query.text for query in task.queries}


def corpus(task: JudgedCorpus) -> dict[str, str]:
    lines = [line for file in task.corpus for line in file.path.read_text("utf-8").splitlines()]
    return {entry["_id"]: f"{entry['title']}|{entry['text']}" for entry in map(json.loads, lines)}


def test_queries_judgments_and_passages_are_those_of_the_rows(tmp_path: Path) -> None:
    """A task that searches languages its rows never answer in, or counts a negative as relevant."""
    path = write_lines(
        tmp_path / "rows.jsonl",
        row("1", "bem one", "bem-en", [passage("a", "A", "T")], [passage("n", "N")]),
        row("1", "fon one", "fon-fr", [passage("b", "B")]),
        row("2", "bem two", "bem-en", [passage("n", "N"), passage("a", "A", "T")]),
    )
    bem, fon = load_rows(benchmark(native(path)), tmp_path / "stores")
    assert (bem.task, fon.task) == ("bem", "fon")
    assert queries(bem) == {"hbt_jsonl/1": "bem one", "hbt_jsonl/2": "bem two"}
    assert bem.qrels == {"hbt_jsonl/1": {"a": 1}, "hbt_jsonl/2": {"a": 1, "n": 1}}
    assert corpus(bem) == {"a": "T|A", "n": "|N"}
    assert (queries(fon), fon.qrels) == ({"hbt_jsonl/1": "fon one"}, {"hbt_jsonl/1": {"b": 1}})
    assert corpus(fon) == {"b": "|B"}


def test_positives_of_the_whole_group_are_relevant(tmp_path: Path) -> None:
    """A second annotated passage, in a row of another query language, measured as a mistake."""
    path = write_lines(
        tmp_path / "rows.jsonl",
        row("1", "de one", "de-en", [passage("a", "A")]),
        row("1", "ru one", "ru-en", [passage("b", "B")]),
        row("1", "ru one", "ru-ru", [passage("c", "C")]),
    )
    german, russian = load_rows(benchmark(native(path)), tmp_path / "stores")
    assert german.qrels == {"hbt_jsonl/1": {"a": 1, "b": 1}}
    assert russian.qrels == {"hbt_jsonl/1": {"a": 1, "b": 1, "c": 1}}
    assert (len(corpus(german)), len(corpus(russian))) == (2, 3)


def test_equal_passages_are_one_and_equal_ids_of_other_texts_are_not(tmp_path: Path) -> None:
    """A duplicate that takes the place of the relevant passage; an id twice, which is refused."""
    path = write_lines(
        tmp_path / "rows.jsonl",
        row("1", "one", "en-en", [passage("a", "A")]),
        row("2", "two", "en-en", [passage("other", "A")]),
        row("3", "three", "en-en", [passage("a", "another")]),
        row("4", "four", "en-en", [passage("two words", "W")]),
        row("5", "five", "en-en", [{"text": "no id"}]),
    )
    (task,) = load_rows(benchmark(native(path)), tmp_path / "stores")
    assert task.qrels["hbt_jsonl/1"] == task.qrels["hbt_jsonl/2"] == {"a": 1}
    assert sorted(corpus(task).values()) == ["|A", "|W", "|another", "|no id"]
    named = {query: text for query, of in task.qrels.items() for text in of}
    assert corpus(task)[named["hbt_jsonl/3"]] == "|another"
    assert all(name.split() == [name] for name in corpus(task))


def test_several_queries_of_a_group_are_several_queries(tmp_path: Path) -> None:
    """Two paraphrases under one id, of which the second is lost, or a query of a row that came twice."""
    path = write_lines(
        tmp_path / "rows.jsonl",
        row("g 1", "one", "en-en", [passage("a", "A")]),
        row("g 1", "uno", "en-en", [passage("a", "A")]),
        row("g 1", "one", "en-en", [passage("b", "B")]),
    )
    (task,) = load_rows(benchmark(native(path)), tmp_path / "stores")
    first, second = task.queries
    assert (first.text, second.text, second.id) == ("one", "uno", f"{first.id}#2")
    assert first.id.split() == [first.id]
    assert task.qrels[first.id] == task.qrels[second.id] == {"a": 1, "b": 1}


def test_parallel_sentences_are_looked_for_in_the_other_languages(tmp_path: Path) -> None:
    """A sentence that finds itself: a benchmark that every encoder solves."""
    for language in ("de", "en", "fr"):
        write_lines(tmp_path / f"{language}.txt", f"{language} one\n", f"{language} two\n")
    paths = {language: f"{tmp_path}/{language}.txt" for language in ("de", "en", "fr")}
    german, *_ = load_rows(benchmark({"format": "parallel", "paths": paths}), tmp_path / "stores")
    assert german.task == "de"
    assert german.qrels["parallel-0/1"] == {"en:1": 1, "fr:1": 1}
    assert set(corpus(german)) == {"en:1", "en:2", "fr:1", "fr:2"}


def test_files_are_written_once_and_anew_when_the_data_change(tmp_path: Path) -> None:
    """Yesterday's rows measured under today's; or the corpus encoded again for every checkpoint."""
    path = write_lines(tmp_path / "rows.jsonl", row("1", "one", "en-en", [passage("a", "A")]))
    (first,) = load_rows(benchmark(native(path)), tmp_path / "stores")
    written = first.corpus[0].path.stat().st_mtime_ns
    (again,) = load_rows(benchmark(native(path)), tmp_path / "stores")
    assert again == first
    assert again.corpus[0].path.stat().st_mtime_ns == written
    write_lines(path, row("1", "one", "en-en", [passage("a", "B")]))
    (changed,) = load_rows(benchmark(native(path)), tmp_path / "stores")
    assert corpus(changed) == {"a": "|B"}


def test_bad_rows_are_refused_unless_allowed(tmp_path: Path) -> None:
    """A test set that silently lost its broken half."""
    path = write_lines(tmp_path / "rows.jsonl", row("1", "one", "en-en", [passage("a", "A")]), "{}\n")
    with pytest.raises(DataError, match=r"rows\.jsonl:2: 1 of 2 rows are unusable"):
        load_rows(benchmark(native(path)), tmp_path / "stores")
    (task,) = load_rows(benchmark(native(path), max_bad_share=0.5), tmp_path / "stores")
    assert len(task.queries) == 1


def test_afriqa_test_is_a_benchmark(shared_data: Path, tmp_path: Path) -> None:
    """Counts of the published test files, with the passages that questions share."""
    languages = ["bem", "fon", "hau", "ibo", "kin", "swa", "twi", "yor", "zul"]
    path = f"{shared_data}/afriqa-gold/gold_span_passages.afriqa.{{language}}.*.test.json.gz"
    source = {"format": "afriqa", "path": path, "languages": languages}
    tasks = load_rows(benchmark(source, max_bad_share=0.01), tmp_path / "stores")
    assert [task.task for task in tasks] == ["bem", "fon", "ha", "ig", "rw", "sw", "tw", "yo", "zu"]
    assert sum(len(task.queries) for task in tasks) == 3107
    assert {len(task.corpus) for task in tasks} == {1}
    assert len({task.corpus for task in tasks}) == 2  # English and French
    assert len(corpus(tasks[1])) == 358


def test_jaquad_dev_is_a_benchmark(shared_data: Path, tmp_path: Path) -> None:
    """Paragraphs counted once a question."""
    source = {"format": "squad", "path": f"{shared_data}/jaquad/dev", "languages": ["ja"]}
    (task,) = load_rows(benchmark(source), tmp_path / "stores")
    assert (task.task, len(task.queries)) == ("ja", 3939)
    assert 1400 <= len(corpus(task)) <= 1431
