"""The score of a query and a passage."""

import sys

import numpy as np
import pytest

from distributed_hbt.evaluation.search import pair_scores

MODULE = sys.modules["distributed_hbt.evaluation.search.pair_scores"]


@pytest.mark.parametrize("dimension", [1, 7, 31, 64, 257, 1024])
def test_a_score_is_the_scalar_product_whatever_is_scored_with_it(dimension: int) -> None:
    """Last bits that depend on the neighbours: a text of two shards would tie with itself in one of them."""
    rng = np.random.default_rng(0)
    query_QD = rng.standard_normal((5, dimension), np.float32)
    passage_ND = rng.standard_normal((60, dimension), np.float32)
    query_P, passage_P = rng.integers(0, 5, 500), rng.integers(0, 60, 500)
    score_P = pair_scores(query_QD, passage_ND, query_P, passage_P)
    alone = [
        passage_ND[passage].copy() @ query_QD[query]
        for query, passage in zip(query_P, passage_P, strict=True)
    ]
    np.testing.assert_array_equal(score_P, np.array(alone, np.float32))


@pytest.mark.parametrize("gathered", [1, 100, 1 << 20])
@pytest.mark.parametrize("near", [1, 1_000])
def test_pairs_may_come_in_any_order(monkeypatch: pytest.MonkeyPatch, gathered: int, near: int) -> None:
    """Scores handed to other pairs by the order in which they are computed."""
    monkeypatch.setattr(MODULE, "GATHERED_VALUES", gathered)
    monkeypatch.setattr(MODULE, "NEAR_VALUES", near)
    rng = np.random.default_rng(0)
    query_QD = rng.standard_normal((70, 9), np.float32)
    passage_ND = rng.standard_normal((2_000, 9), np.float32)
    query_P, passage_P = rng.integers(0, 70, 40_000), rng.integers(0, 2_000, 40_000)
    score_P = pair_scores(query_QD, passage_ND, query_P, passage_P)
    np.testing.assert_array_equal(score_P, np.vecdot(query_QD[query_P], passage_ND[passage_P]))


def test_no_pairs_have_no_scores() -> None:
    """A search that found nothing new and fails."""
    none, vectors = np.empty(0, np.int64), np.ones((3, 2), np.float32)
    assert pair_scores(vectors, vectors, none, none).shape == (0,)
    assert pair_scores(vectors[:0], vectors, none, none).shape == (0,)
