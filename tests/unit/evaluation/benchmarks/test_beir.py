"""A folder in BEIR's form."""

from pathlib import Path

import pytest

from distributed_hbt.config.evaluation import BeirBenchmark
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.evaluation.benchmarks.judged import load_judged
from tests.corpus_files import write_lines

HEADER = "query-id\tcorpus-id\tscore\n"


def folder(root: Path, suffix: str = "") -> Path:
    """Three queries: one judged in test, one in train, one nowhere."""
    queries = [{"_id": f"q{i}", "text": f"query {i}", "metadata": {}} for i in range(3)]
    write_lines(root / f"queries.jsonl{suffix}", *queries)
    write_lines(
        root / f"corpus.jsonl{suffix}",
        {"_id": "d1", "title": "T", "text": "one", "metadata": {"url": "x"}},
        {"_id": "d2", "title": "", "text": ""},
    )
    write_lines(root / f"qrels/test.tsv{suffix}", HEADER, "q1\td1\t2\n", "q1\td2\t0\n")
    write_lines(root / f"qrels/train.tsv{suffix}", HEADER, "q0\td2\t1\n")
    return root


def benchmark(path: Path, **more: object) -> BeirBenchmark:
    return BeirBenchmark.model_validate({"name": "beir", "label": "scifact", "path": str(path), **more})


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_only_the_queries_that_the_split_judges_are_taken(tmp_path: Path, suffix: str) -> None:
    """Queries of other splits measured as failures; the header read as a judgment."""
    (judged,) = load_judged(benchmark(folder(tmp_path, suffix)))
    assert judged.task == "test"
    assert judged.queries == (Entry("q1", "query 1"),)
    assert judged.qrels == {"q1": {"d1": 2, "d2": 0}}
    assert judged.judged_at["q1", "d2"] == f"{tmp_path}/qrels/test.tsv{suffix}:3"
    (file,) = judged.corpus
    assert (file.path.name, file.id_field) == (f"corpus.jsonl{suffix}", "_id")


def test_the_task_is_the_split(tmp_path: Path) -> None:
    """Results of train under the name of test."""
    (judged,) = load_judged(benchmark(folder(tmp_path), split="train", blank_passages="keep"))
    assert (judged.task, [query.id for query in judged.queries]) == ("train", ["q0"])
    assert judged.corpus[0].blank_passages == "keep"


def test_judgments_may_lie_elsewhere(tmp_path: Path) -> None:
    """The hub's layout, with judgments in a data set of their own."""
    other = write_lines(tmp_path / "scifact-qrels/test.tsv", HEADER, "q2\td1\t1\n")
    (judged,) = load_judged(benchmark(folder(tmp_path / "scifact"), qrels=str(other)))
    assert [query.id for query in judged.queries] == ["q2"]


@pytest.mark.parametrize(
    ("name", "rows", "fault"),
    [
        ("queries.jsonl", ['{"_id": "q1"}\n'], ":1: field 'text' is missing"),
        ("queries.jsonl", ['{"_id": "q1", "text": "x"\n'], ":1: is broken JSON"),
        ("queries.jsonl", ['{"_id": "q 1", "text": "x"}\n'], ":1: query id 'q 1' holds white space"),
        ("queries.jsonl", [{"_id": "q1", "text": "x"}] * 2, ":2: query id 'q1' stands at "),
        ("queries.jsonl", [{"_id": "q7", "text": "x"}], "the judged query is not in "),
        ("qrels/test.tsv", [HEADER, "q1\td1\n"], ":2: has 2 tab-separated columns, not 3"),
        ("qrels/test.tsv", [HEADER, "q1\td 1\t1\n"], ":2: document id 'd 1' holds white space"),
        ("qrels/test.tsv", [HEADER, "q1 \td1\t1\n"], ":2: query id 'q1 ' holds white space"),
        ("qrels/test.tsv", [HEADER, "q1\td1\t0.5\n"], ":2: relevance '0.5' is no whole number"),
        ("qrels/test.tsv", [HEADER], "judges none of its queries"),
    ],
)
def test_a_fault_is_named_by_its_line(tmp_path: Path, name: str, rows: list[str], fault: str) -> None:
    """A line that is skipped, or that ends in a traceback without its place."""
    folder(tmp_path)
    write_lines(tmp_path / name, *rows)
    with pytest.raises(DataError) as error:
        load_judged(benchmark(tmp_path))
    assert fault in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/")


@pytest.mark.parametrize("name", ["queries.jsonl", "corpus.jsonl", "qrels/test.tsv"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    """A traceback, or a message about the folder as a whole."""
    (folder(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no data file is found"):
        load_judged(benchmark(tmp_path))
