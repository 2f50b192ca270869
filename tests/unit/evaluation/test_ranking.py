"""From embeddings to the figures of a benchmark, on a case worked out by hand."""

import gzip
from pathlib import Path

import ir_measures
import numpy as np
import pytest

from distributed_hbt.evaluation.aggregates import TaskResult, aggregates
from distributed_hbt.evaluation.benchmarks.collection import Collection, Entry
from distributed_hbt.evaluation.full_ranking import build_pool
from distributed_hbt.evaluation.language_bias import RANK_DISTANCE, rank_distance
from distributed_hbt.evaluation.measures import measures_from_ranks, measures_of_run
from distributed_hbt.evaluation.ranking import TaskRanks, rank_language
from distributed_hbt.evaluation.tasks import Task, relevant_in, tasks_of
from distributed_hbt.evaluation.trec_run import read_run

LANGUAGES = ("en", "de")
ANSWERS = {"en:0:0:0": 1, "de:0:0:0": 1}
COLLECTION = Collection(
    LANGUAGES,
    queries={"en": (Entry("en:q1", ""), Entry("en:q2", "")), "de": (Entry("de:q1", ""),)},
    candidates={
        language: tuple(Entry(f"{language}:0:0:{i}", "") for i in range(2)) for language in LANGUAGES
    },
    qrels={"en:q1": ANSWERS, "en:q2": {"en:0:0:1": 1}, "de:q1": ANSWERS},
)
# One-hot candidates: a query's vector holds its scores of en 0, en 1, de 0, de 1.
DOC_IDS = ["en:0:0:0", "en:0:0:1", "de:0:0:0", "de:0:0:1"]
QUERIES = {
    "en": np.array([[0.4, 0.3, 0.1, 0.2], [0.2, 0.1, 0.4, 0.3]], np.float32),
    "de": np.array([[0.5, 0.1, 0.5, 0.5]], np.float32),
}


def ranked(folder: Path, depth: int = 1000) -> list[TaskRanks]:
    pool = build_pool(DOC_IDS, np.eye(4, dtype=np.float32), ["en", "en", "de", "de"])
    found: list[TaskRanks] = []
    for language in LANGUAGES:
        tasks = [task for task in tasks_of(LANGUAGES) if task.query_language == language]
        found += rank_language(COLLECTION, tasks, QUERIES[language], pool, folder, depth)
    return found


def results(folder: Path) -> dict[str, TaskResult]:
    found = {}
    for one in ranked(folder):
        values = measures_from_ranks(one.ranks, one.qrels)
        if one.task.kind == "multi":
            values[RANK_DISTANCE] = rank_distance(one.ranks, one.qrels)
        found[one.task.name] = TaskResult(one.task.name, one.task.kind, values)
    return found


def test_every_task_exists_once() -> None:
    """Catches a pair of languages that is left out, or one with itself among the cross-lingual ones."""
    names = [task.name for task in tasks_of(("en", "de", "th"))]
    assert names[:3] == ["mono/en", "mono/de", "mono/th"]
    assert names[3:9] == [
        "cross/en-de",
        "cross/en-th",
        "cross/de-en",
        "cross/de-th",
        "cross/th-en",
        "cross/th-de",
    ]
    assert names[9:] == ["multi/en", "multi/de", "multi/th"]


def test_relevant_candidates_are_those_of_the_passage_language() -> None:
    """Catches queries without an answer in the task, which would count as failures."""
    assert relevant_in(COLLECTION, Task("mono", "en", ("en",))) == {
        "en:q1": {"en:0:0:0": 1},
        "en:q2": {"en:0:0:1": 1},
    }
    assert relevant_in(COLLECTION, Task("cross", "en", ("de",))) == {"en:q1": {"de:0:0:0": 1}}
    assert relevant_in(COLLECTION, Task("multi", "de", LANGUAGES)) == {"de:q1": ANSWERS}


def test_true_ranks_by_hand(tmp_path: Path) -> None:
    """Catches ties that the order of the files decides: de:0:0:0 stands before en:0:0:0."""
    assert {one.task.name: one.ranks for one in ranked(tmp_path)} == {
        "mono/en": {"en:q1": {"en:0:0:0": 1}, "en:q2": {"en:0:0:1": 2}},
        "cross/en-de": {"en:q1": {"de:0:0:0": 2}},
        "multi/en": {"en:q1": {"en:0:0:0": 1, "de:0:0:0": 4}, "en:q2": {"en:0:0:1": 4}},
        "mono/de": {"de:q1": {"de:0:0:0": 1}},
        "cross/de-en": {"de:q1": {"en:0:0:0": 1}},
        "multi/de": {"de:q1": {"de:0:0:0": 1, "en:0:0:0": 3}},
    }


def test_task_measures_by_hand(tmp_path: Path) -> None:
    """Catches a relevant set of the own language only in the multilingual task."""
    found = results(tmp_path)
    assert found["mono/en"].values["AP"] == {"en:q1": 1, "en:q2": 1 / 2}
    assert found["cross/en-de"].values["AP"] == {"en:q1": 1 / 2}
    assert found["cross/en-de"].num_queries == 1
    assert found["multi/en"].values["AP"] == {"en:q1": (1 + 2 / 4) / 2, "en:q2": 1 / 4}
    assert found["multi/en"].values["R@1"] == {"en:q1": 1 / 2, "en:q2": 0}
    assert found["multi/en"].values["RD"] == {"en:q1": 3, "en:q2": 0}
    assert found["multi/de"].values["AP"] == {"de:q1": pytest.approx((1 + 2 / 3) / 2)}
    assert found["multi/de"].values["RD"] == {"de:q1": 2}


def test_aggregates_by_hand(tmp_path: Path) -> None:
    """Catches means over queries where means over tasks are meant, and the other way round."""
    found = aggregates(list(results(tmp_path).values()))
    assert list(found) == ["mono", "cross", "multi", "pool", "rank_distance"]
    mono, cross, multi, pool = (found[name] for name in ("mono", "cross", "multi", "pool"))
    assert mono == pytest.approx(
        {"AP": 0.875, "R@1": 0.75, "R@10": 1} | {k: mono[k] for k in ("nDCG@10", "RR@10")}
    )
    assert (cross["AP"], cross["R@1"], cross["R@10"]) == pytest.approx((0.75, 0.5, 1))
    assert (multi["AP"], multi["R@1"], multi["R@10"]) == pytest.approx(((0.5 + 5 / 6) / 2, 0.375, 1))
    assert pool == {"AP": pytest.approx((0.75 + 0.25 + 5 / 6) / 3)}
    assert found["rank_distance"] == pytest.approx((1.5 + 2) / 2)


def test_one_language_has_no_cross_aggregate(tmp_path: Path) -> None:
    """Catches a cross-lingual mean of 0 where there is no such task."""
    only = [result for result in results(tmp_path).values() if result.kind != "cross"]
    assert list(aggregates(only)) == ["mono", "multi", "pool", "rank_distance"]


def test_the_run_keeps_relevant_documents_below_the_depth(tmp_path: Path) -> None:
    """Catches a cut run from which AP and rank distance can not be recomputed."""
    ranked(tmp_path, depth=1)
    content = gzip.decompress((tmp_path / "multi" / "en.trec.gz").read_bytes()).decode()
    assert content.splitlines() == [
        "en:q1 Q0 en:0:0:0 1 0.400000006 hbt",
        "en:q1 Q0 de:0:0:0 4 0.100000001 hbt",
        "en:q2 Q0 de:0:0:0 1 0.400000006 hbt",
        "en:q2 Q0 en:0:0:1 4 0.100000001 hbt",
    ]


@pytest.mark.parametrize("depth", [1, 2, 3, 1000])
def test_the_run_file_gives_the_measures_back_at_any_depth(tmp_path: Path, depth: int) -> None:
    """Catches a run that disagrees with the summary: at a tie, or through the cut."""
    for one in ranked(tmp_path, depth):
        run = read_run(tmp_path / f"{one.task.name}.trec.gz")
        names = ["AP", "R@1", "R@10", "nDCG@10", "RR@10"]
        expected = measures_from_ranks(one.ranks, one.qrels)
        assert measures_of_run(run, one.qrels, names) == expected
        ranks = {query: {line.doc_id: line.rank for line in lines} for query, lines in run.documents.items()}
        assert rank_distance(ranks, one.qrels) == rank_distance(one.ranks, one.qrels)


def test_any_reader_of_a_complete_run_sees_the_same_ranking(tmp_path: Path) -> None:
    """Catches tied scores in the file: trec_eval reads them by descending doc_id, others ascending."""
    found = {one.task.name: one for one in ranked(tmp_path)}
    task = found["multi/de"]
    run = list(ir_measures.read_trec_run(str(tmp_path / "multi" / "de.trec.gz")))
    measures = [ir_measures.AP, ir_measures.RR @ 10]
    values = {str(m.measure): m.value for m in ir_measures.iter_calc(measures, task.qrels, run)}
    assert values == {"AP": pytest.approx(5 / 6), "RR@10": 1}
