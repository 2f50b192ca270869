"""Language bias on literal ranks."""

import numpy as np
import pytest
from scipy import stats

from distributed_hbt.evaluation.full_ranking import rank, ranks_of_columns
from distributed_hbt.evaluation.language_bias import (
    max_rank,
    peer,
    pooled_ranks,
    rank_correlations,
    rank_distance,
)

QRELS = {"en:q": {"en:1": 1, "de:1": 1, "fr:1": 1, "fr:2": 0}, "en:r": {"en:2": 1}}
RANKS = {"en:q": {"en:1": 1, "de:1": 4, "fr:1": 9, "fr:2": 2}, "en:r": {"en:2": 3}}


def test_rank_distance_and_max_rank() -> None:
    """What is judged irrelevant does not count."""
    assert rank_distance(RANKS, QRELS) == {"en:q": 8.0, "en:r": 0.0}
    assert max_rank(RANKS, QRELS) == {"en:q": 9.0, "en:r": 3.0}


def test_a_relevant_candidate_without_a_rank_is_no_rank_distance() -> None:
    with pytest.raises(KeyError):
        max_rank({"en:r": {}}, {"en:r": {"en:2": 1}})


def test_ranks_are_pooled_by_passage_language() -> None:
    language_of = {"en:1": "en", "de:1": "de", "fr:1": "fr", "en:2": "en"}
    assert pooled_ranks(RANKS, QRELS, language_of) == {"en": [1, 3], "de": [4], "fr": [9]}


def test_peer_by_hand() -> None:
    """Ranks 1 2 3 against 4 5 6: H = 12 / (6 * 7) * (6^2 / 3 + 15^2 / 3) - 3 * 7 = 3.857, one degree."""
    expected = stats.chi2.sf(12 / 42 * (36 / 3 + 225 / 3) - 21, 1)
    assert peer([(1.0, {"en": [1, 2, 3], "de": [4, 5, 6]})]) == pytest.approx(expected)
    assert expected == pytest.approx(0.0495, abs=1e-4)


def test_peer_weights_relevance_levels() -> None:
    """A level of a single language, or of equal ranks, has nothing to compare: 1."""
    unfair = {"en": [1, 2, 3], "de": [4, 5, 6]}
    p = peer([(1.0, unfair)])
    assert peer([(3.0, unfair), (1.0, {"en": [7, 8], "de": []})]) == pytest.approx((3 * p + 1) / 4)
    assert peer([(1.0, {"en": [2], "de": [2]})]) == 1.0


def test_peer_is_higher_for_mixed_languages() -> None:
    assert peer([(1.0, {"en": [1, 4, 5], "de": [2, 3, 6]})]) > 0.8


def test_rank_correlations_are_the_mean_of_spearmans() -> None:
    """Three parallel queries: the first two rank alike, the third the other way round."""
    score_LN = np.array([[4.0, 3.0, 2.0, 1.0], [9.0, 8.0, 7.0, 6.0], [1.0, 2.0, 3.0, 4.0]], np.float32)
    assert rank_correlations(ranks_of_columns(rank(score_LN))) == pytest.approx([0.0, 0.0, -1.0])
    random_LN = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32)
    spearman_LL = stats.spearmanr(random_LN, axis=1).statistic
    expected = [(spearman_LL[i].sum() - 1) / 2 for i in range(3)]
    assert rank_correlations(ranks_of_columns(rank(random_LN))) == pytest.approx(expected)
