"""Rankings of parallel questions, from literal embeddings."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from distributed_hbt.evaluation.benchmarks.collection import Collection, Entry
from distributed_hbt.evaluation.full_ranking import build_pool
from distributed_hbt.evaluation.jobs.correlate_rankings import (
    CorrelateRankings,
    parallel_queries,
    read_correlations,
)
from distributed_hbt.evaluation.jobs.worker import Worker
from distributed_hbt.evaluation.ranking import rank_language
from distributed_hbt.evaluation.tasks import Task

LANGUAGES = ("en", "de", "th")
QUESTIONS = {"en": ("q1", "q2"), "de": ("q2", "q1"), "th": ("q1",)}
COLLECTION = Collection(
    LANGUAGES,
    queries={of: tuple(Entry(f"{of}:{q}", "") for q in questions) for of, questions in QUESTIONS.items()},
    candidates={of: tuple(Entry(f"{of}:0:0:{i}", "") for i in range(6)) for of in LANGUAGES},
    qrels={f"{of}:{q}": {"en:0:0:0": 1} for of, questions in QUESTIONS.items() for q in questions},
)
RANDOM = np.random.default_rng(5)
QUERIES = {
    of: RANDOM.normal(size=(len(questions), 4)).astype(np.float32) for of, questions in QUESTIONS.items()
}
CANDIDATES = RANDOM.normal(size=(18, 4)).astype(np.float32)


def saved(path: Path, embedding: np.ndarray) -> Path:
    np.save(path, embedding)
    return path


def test_a_question_asked_in_one_language_has_no_parallels() -> None:
    only = Collection(("en",), {"en": (Entry("en:q1", ""),)}, {"en": ()}, {})
    assert parallel_queries(only) == []
    assert parallel_queries(COLLECTION) == [["en:q1", "de:q1", "th:q1"], ["en:q2", "de:q2"]]


def test_values_are_the_mean_spearman_correlations(tmp_path: Path) -> None:
    """Catches queries of a language that are taken in another order than their embeddings."""
    queries = tuple((saved(tmp_path / f"{of}.npy", QUERIES[of]),) for of in LANGUAGES)
    candidates = (saved(tmp_path / "0.npy", CANDIDATES[:7]), saved(tmp_path / "1.npy", CANDIDATES[7:]))
    jobs = [
        CorrelateRankings(tmp_path / f"{question}.json", COLLECTION, (question,), queries, candidates)
        for question in ("q1", "q2")
    ]
    for job in jobs:
        job.run(Worker("cpu"))
    values = read_correlations([job.output for job in jobs])
    of = {f"{lang}:{q}": QUERIES[lang][i] for lang in LANGUAGES for i, q in enumerate(QUESTIONS[lang])}

    def spearman(one: str, other: str) -> float:
        return float(stats.spearmanr(CANDIDATES @ of[one], CANDIDATES @ of[other]).statistic)

    assert values["en:q1"] == pytest.approx((spearman("en:q1", "de:q1") + spearman("en:q1", "th:q1")) / 2)
    assert values["de:q2"] == pytest.approx(spearman("de:q2", "en:q2"))
    assert len(values) == 5


def test_the_languages_of_the_ten_best_by_hand(tmp_path: Path) -> None:
    """18 candidates: the scores put all six German ones first, then four of the Thai."""
    doc_ids = [entry.id for of in LANGUAGES for entry in COLLECTION.candidates[of]]
    pool = build_pool(doc_ids, np.eye(18, dtype=np.float32), [d.partition(":")[0] for d in doc_ids])
    score_of = {"en": 0.1, "de": 0.9, "th": 0.5}
    query_QD = np.array([[score_of[doc_id.partition(":")[0]] for doc_id in sorted(doc_ids)]] * 2, np.float32)
    task = Task("multi", "en", LANGUAGES)
    # Embeddings stand in the order of sorted doc_ids after build_pool: undo it for the one-hot candidates.
    order = np.argsort(np.argsort(doc_ids))
    [ranked] = rank_language(COLLECTION, [task], query_QD[:, order], pool, tmp_path, 5)
    assert ranked.top10 == pytest.approx({"en": 0.0, "de": 0.6, "th": 0.4})
