"""Measures from true ranks and from runs."""

import ir_measures
import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.measures import measures_from_ranks, measures_of_run, parse_measures
from distributed_hbt.evaluation.trec_run import Run, RunLine

NAMES = ["AP", "R@1", "R@10", "nDCG@10", "RR@10", "P@5", "RR"]


def test_measures_by_hand() -> None:
    """Catches ranks counted from 0 and means over the found instead of the relevant documents."""
    ranks = {"q": {"a": 1, "b": 4, "c": 12}, "p": {"a": 13_000}}
    qrels = {"q": {"a": 1, "b": 1, "c": 1}, "p": {"a": 1}}
    found = measures_from_ranks(ranks, qrels)
    assert found["AP"]["q"] == pytest.approx((1 / 1 + 2 / 4 + 3 / 12) / 3)
    assert found["R@1"]["q"] == pytest.approx(1 / 3)
    assert found["R@10"]["q"] == pytest.approx(2 / 3)
    assert found["RR@10"]["q"] == 1
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    assert found["nDCG@10"]["q"] == pytest.approx((1 + 1 / np.log2(5)) / ideal)
    assert {name: values["p"] for name, values in found.items()} == {
        "AP": pytest.approx(1 / 13_000),
        "R@1": 0,
        "R@10": 0,
        "nDCG@10": 0,
        "RR@10": 0,
    }


def random_case(seed: int) -> tuple[np.ndarray, list[str], dict[str, int]]:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 300))
    relevant = rng.choice(size, int(rng.integers(1, min(size, 12))), replace=False)
    return rng.permutation(size) / size, [f"d{i}" for i in range(size)], {f"d{i}": 1 for i in relevant}


@pytest.mark.parametrize("seed", range(20))
def test_true_ranks_give_the_measures_of_the_full_ranking(seed: int) -> None:
    """Catches fillers that change a measure: both ir_measures on everything and sklearn must agree."""
    scores, doc_ids, relevant = random_case(seed)
    order = np.argsort(-scores)
    ranks = {doc_ids[column]: place for place, column in enumerate(order, 1) if doc_ids[column] in relevant}
    found = measures_from_ranks({"q": ranks}, {"q": relevant}, NAMES)
    full = {"q": dict(zip(doc_ids, scores.tolist(), strict=True))}
    measures = [ir_measures.parse_measure(name) for name in NAMES]
    for metric in ir_measures.iter_calc(measures, {"q": relevant}, full):
        assert found[str(metric.measure)]["q"] == pytest.approx(metric.value, abs=1e-12)
    labels = [doc_id in relevant for doc_id in doc_ids]
    assert found["AP"]["q"] == pytest.approx(average_precision_score(labels, scores), abs=1e-12)


def run_of(tag: str, *lines: RunLine) -> Run:
    return Run({"q": list(lines)}, tag)


def test_gaps_count_in_own_runs_only() -> None:
    """Catches an AP that moves a relevant document up to the end of the kept ones."""
    lines = (RunLine("x", 1, 0.9), RunLine("a", 10, 0.1))
    qrels = {"q": {"a": 1}}
    assert measures_of_run(run_of("hbt", *lines), qrels, ["AP"]) == {"AP": {"q": 1 / 10}}
    assert measures_of_run(run_of("other", *lines), qrels, ["AP"]) == {"AP": {"q": 1 / 2}}


def test_judged_documents_that_are_not_relevant_are_kept() -> None:
    """Catches fillers in the place of judged documents, which bpref counts."""
    run = run_of("hbt", RunLine("x", 1, 0.9), RunLine("a", 10, 0.1))
    assert measures_of_run(run, {"q": {"a": 1, "x": 0}}, ["Bpref", "AP"]) == {
        "Bpref": {"q": 0.0},
        "AP": {"q": 1 / 10},
    }


def test_a_query_without_documents_counts_as_zero() -> None:
    """Catches a mean over the answered queries only."""
    run = run_of("other", RunLine("a", 1, 1.0))
    found = measures_of_run(run, {"q": {"a": 1}, "p": {"b": 1}}, ["AP", "RR@10", "R@10"])
    assert found == {name: {"q": 1.0, "p": 0.0} for name in ("AP", "RR@10", "R@10")}


def test_two_names_of_one_measure_both_get_its_values() -> None:
    """Catches values that only the last of two names receives."""
    assert measures_from_ranks({"q": {"a": 2}}, {"q": {"a": 1}}, ["RR", "MRR"]) == {
        "RR": {"q": 0.5},
        "MRR": {"q": 0.5},
    }


@pytest.mark.parametrize("name", ["bogus", "R", "R@", "R@0", "nDCG@ten", "", "nDCG@10,AP", "alpha_nDCG@10"])
def test_a_measure_that_can_not_be_computed_is_refused(name: str) -> None:
    """Catches a traceback; with a cutoff of 0 trec_eval would end the process."""
    with pytest.raises(ConfigError, match="is no measure that can be computed here; name it as ir_measures"):
        parse_measures([name])
