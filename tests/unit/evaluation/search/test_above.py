"""How many passages beat given scores."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributed_hbt.evaluation.search import StreamingTopK, Thresholds, above, pair_scores
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers
from tests.unit.evaluation.search.reference import all_scores, portions, unit

KEPT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def counted(query_QD: Floats, passage_ND: Floats, key_N: Integers, thresholds: Thresholds) -> Integers:
    """One passage after the other, as the rule says."""
    above_QR = np.zeros(thresholds.score_QR.shape, np.int64)
    score_QN = all_scores(query_QD, passage_ND)
    for q, r in np.ndindex(*above_QR.shape):
        limit, key = thresholds.score_QR[q, r], thresholds.key_QR[q, r]
        beats_N = (score_QN[q] > limit) | ((score_QN[q] == limit) & (key_N < key))
        above_QR[q, r] = np.count_nonzero(beats_N & (key_N != thresholds.itself_QR[q, r]))
    return above_QR


@st.composite
def cases(draw: st.DrawFn) -> tuple[Floats, Floats, Integers, Thresholds, list[int]]:
    """Thresholds that are scores of passages, to be found or not, or between, or out of reach."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num_queries, num_passages = draw(st.integers(1, 5)), draw(st.integers(1, 60))
    dimension, width = draw(st.integers(1, 20)), draw(st.integers(0, 4))
    vectors = rng.integers(-2, 3, (num_queries + num_passages, dimension)).astype(np.float32)
    if draw(st.booleans()):
        vectors += rng.standard_normal(vectors.shape, np.float32)
    query_QD, passage_ND = vectors[:num_queries], vectors[num_queries:]
    passage_ND = passage_ND[rng.integers(0, num_passages, num_passages)]
    key_N = rng.permutation(num_passages * 2)[:num_passages]
    chosen_QR = rng.integers(0, num_passages, (num_queries, width))
    score_QR = np.take_along_axis(all_scores(query_QD, passage_ND), chosen_QR, axis=1)
    score_QR[rng.random(score_QR.shape) < 0.2] += np.float32(0.5)
    score_QR[rng.random(score_QR.shape) < 0.2] = np.inf
    score_QR[rng.random(score_QR.shape) < 0.1] = -np.inf
    itself_QR = np.where(rng.random(score_QR.shape) < 0.7, key_N[chosen_QR], -1)
    key_QR = np.where(
        rng.random(score_QR.shape) < 0.7, key_N[chosen_QR], rng.integers(0, 120, score_QR.shape)
    )
    cuts = draw(st.lists(st.integers(0, 60), max_size=3))
    return query_QD, passage_ND, key_N, Thresholds(score_QR, key_QR, itself_QR), cuts


@KEPT
@given(case=cases())
def test_counts_are_those_of_the_rule_for_any_portions(
    products: str, case: tuple[Floats, Floats, Integers, Thresholds, list[int]]
) -> None:
    """Ties counted by arrival, a passage that beats itself, padding that is counted."""
    query_QD, passage_ND, key_N, thresholds, cuts = case
    search = StreamingTopK(query_QD, 3, thresholds=thresholds)
    for part in portions(len(key_N), cuts):
        search.add(passage_ND[part], key_N[part])
    np.testing.assert_array_equal(search.above_QR, counted(query_QD, passage_ND, key_N, thresholds))


@pytest.mark.parametrize("direction", [0.0, 3.0])
def test_counts_over_many_blocks_agree_with_the_ranking(products: str, direction: float) -> None:
    """A passage above another in the ranking but not counted; low ranks that approximate scores decide."""
    rng = np.random.default_rng(0)
    query_QD = unit(rng.standard_normal((25, 40)) + direction)
    passage_ND = unit(rng.standard_normal((3_000, 40)) + direction)
    passage_ND[1_500:1_700] = passage_ND[:200]
    key_N = rng.permutation(3_000)
    chosen_QR = rng.integers(0, 3_000, (25, 70))
    query_P = np.repeat(np.arange(25), 70)
    score_QR = pair_scores(query_QD, passage_ND, query_P, chosen_QR.ravel()).reshape(25, 70)
    search = StreamingTopK(
        query_QD, 3_000, memory_mb=1, thresholds=Thresholds(score_QR, key_N[chosen_QR], key_N[chosen_QR])
    )
    for part in portions(3_000, [1_111, 1_112]):
        search.add(passage_ND[part], key_N[part])
    ranking_QK = search.result().key_QK
    rank_QR = (ranking_QK[:, None] == key_N[chosen_QR][:, :, None]).argmax(axis=2)
    np.testing.assert_array_equal(search.above_QR, rank_QR)


def test_most_passages_are_counted_without_their_scores(
    products: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Limits in the midst of all scores, where low precision decides little: all passages scored."""
    rng = np.random.default_rng(0)
    query_QD, passage_ND = unit(rng.standard_normal((10, 64))), unit(rng.standard_normal((4_000, 64)))
    none_QR = np.full((10, 1), -1)
    thresholds = Thresholds(np.zeros((10, 1), np.float32), none_QR, none_QR)
    scored = []
    monkeypatch.setattr(above, "pair_scores", lambda *a: scored.append(len(a[2])) or pair_scores(*a))
    search = StreamingTopK(query_QD, 1, thresholds=thresholds)
    search.add(passage_ND, np.arange(4_000))
    np.testing.assert_array_equal(
        search.above_QR, counted(query_QD, passage_ND, np.arange(4_000), thresholds)
    )
    assert sum(scored) < 10 * 4_000 * above.UNDECIDED
