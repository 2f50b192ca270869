"""The best passages of a search that takes them in portions."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distributed_hbt.evaluation.search import StreamingTopK, Thresholds, TopK, query_part
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers
from tests.unit.evaluation.search.reference import (
    PRODUCTS,
    all_scores,
    portions,
    reference,
    unit,
    use_products,
)

KEPT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def searched(
    query_QD: Floats,
    passage_ND: Floats,
    key_N: Integers,
    k: int,
    cuts: Sequence[int] = (),
    memory_mb: int = 64,
) -> TopK:
    search = StreamingTopK(query_QD, k, memory_mb=memory_mb)
    for part in portions(len(key_N), cuts):
        search.add(passage_ND[part], key_N[part])
    return search.result()


def assert_exact(found: TopK, query_QD: Floats, passage_ND: Floats, key_N: Integers, k: int) -> None:
    score_QK, key_QK = reference(query_QD, passage_ND, key_N, k)
    np.testing.assert_array_equal(found.key_QK, key_QK)
    np.testing.assert_array_equal(found.score_QK, score_QK)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Floats, Floats, Integers, int, list[int]]:
    """Small whole numbers, so that many scores are equal, negative or zero; fractions; copies of passages."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    num_queries, num_passages = draw(st.integers(0, 5)), draw(st.integers(0, 60))
    dimension, scale = draw(st.integers(1, 40)), draw(st.sampled_from([1.0, 0.1, 1e-30, 1e15]))
    whole = draw(st.booleans())
    vectors = rng.integers(-2, 3, (num_queries + num_passages, dimension)).astype(np.float32)
    if not whole:
        vectors += rng.standard_normal(vectors.shape, np.float32)
    vectors *= np.float32(scale)
    query_QD, passage_ND = vectors[:num_queries], vectors[num_queries:]
    if draw(st.booleans()) and num_passages:
        passage_ND = passage_ND[rng.integers(0, num_passages, num_passages)]
    key_N = rng.permutation(num_passages * 3)[:num_passages] - num_passages
    return (
        query_QD,
        passage_ND,
        key_N,
        draw(st.integers(1, 70)),
        draw(st.lists(st.integers(0, 60), max_size=4)),
    )


@KEPT
@given(case=cases())
def test_any_portions_give_the_best_by_score_and_then_by_key(
    products: str, case: tuple[Floats, Floats, Integers, int, list[int]]
) -> None:
    """Passages lost between portions, ties settled by the order of arrival, or short results."""
    query_QD, passage_ND, key_N, k, cuts = case
    found = searched(query_QD, passage_ND, key_N, k, cuts)
    assert found.key_QK.shape == (len(query_QD), min(k, len(key_N)))
    assert_exact(found, query_QD, passage_ND, key_N, k)


@pytest.mark.parametrize("k", [1, 20, 300])
@pytest.mark.parametrize("direction", [0.0, 3.0])
def test_many_blocks_and_portions_are_exact(products: str, direction: float, k: int) -> None:
    """A passage ruled out by a low-precision score; blocks or chunks that overlap or leave gaps."""
    rng = np.random.default_rng(0)
    query_QD = unit(rng.standard_normal((30, 48)) + direction)
    passage_ND = unit(rng.standard_normal((3_000, 48)) + direction)
    passage_ND[1_000:1_200] = passage_ND[:200]
    key_N = rng.permutation(3_000)
    for cuts in ([], [7, 1_500, 1_501, 2_999]):
        found = searched(query_QD, passage_ND, key_N, k, cuts, memory_mb=1)
        assert_exact(found, query_QD, passage_ND, key_N, k)


def test_scores_that_differ_only_by_rounding_are_told_apart(products: str) -> None:
    """Approximate scores that decide: another order of addition gives other last bits, and other passages."""
    rng = np.random.default_rng(0)
    query_QD = np.full((2, 200), 0.07, np.float32)
    values_D = rng.standard_normal(200).astype(np.float32)
    passage_ND = np.array([rng.permutation(values_D) for _ in range(700)])
    assert len(np.unique(all_scores(query_QD[:1], passage_ND))) < 100
    key_N = rng.permutation(700)
    assert_exact(searched(query_QD, passage_ND, key_N, 30), query_QD, passage_ND, key_N, 30)


def test_copies_of_a_passage_have_the_same_score_wherever_they_stand(products: str) -> None:
    """Scores taken from a matrix product, whose last bits depend on the place in a block."""
    rng = np.random.default_rng(0)
    query_QD = rng.standard_normal((3, 37), np.float32)
    passage_ND = np.tile(rng.standard_normal((1, 37), np.float32), (4_099, 1))
    found = searched(query_QD, passage_ND, np.arange(4_099)[::-1].copy(), 50, [1, 600, 4_000], memory_mb=1)
    assert (found.score_QK == found.score_QK[:, :1]).all()
    assert found.key_QK.tolist() == [list(range(50))] * 3


def test_scores_are_those_of_float64_to_a_millionth() -> None:
    """Scores that are the approximate ones."""
    rng = np.random.default_rng(0)
    query_QD = unit(rng.standard_normal((5, 256)) + 1)
    passage_ND = unit(rng.standard_normal((2_000, 256)) + 1)
    found = searched(query_QD, passage_ND, np.arange(2_000), 10)
    score_QN = query_QD.astype(np.float64) @ passage_ND.astype(np.float64).T
    np.testing.assert_allclose(found.score_QK, np.take_along_axis(score_QN, found.key_QK, 1), rtol=1e-6)


def test_vectors_of_very_different_lengths_are_exact(products: str) -> None:
    """Bounds that hold for unit vectors only."""
    rng = np.random.default_rng(0)
    query_QD = rng.standard_normal((8, 20), np.float32) * np.float32(1e9)
    passage_ND = rng.standard_normal((900, 20), np.float32)
    passage_ND *= np.logspace(-8, 8, 900, dtype=np.float32)[:, None]
    key_N = np.arange(900)
    assert_exact(searched(query_QD, passage_ND, key_N, 850), query_QD, passage_ND, key_N, 850)


def test_results_are_the_same_bytes_for_any_memory_and_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is done again on another machine and gives another file."""
    rng = np.random.default_rng(0)
    query_QD, passage_ND = unit(rng.standard_normal((40, 64))), unit(rng.standard_normal((5_000, 64)))
    key_N = rng.permutation(5_000)
    results = set()
    for name in PRODUCTS:
        use_products(monkeypatch, name)
        for memory_mb in (1, 3, 256):
            found = searched(query_QD, passage_ND, key_N, 100, [777], memory_mb)
            results.add(found.score_QK.tobytes() + found.key_QK.tobytes())
    assert len(results) == 1


def test_a_result_may_be_asked_for_in_between(products: str) -> None:
    """A result that ends the search, or that later passages change."""
    rng = np.random.default_rng(0)
    query_QD, passage_ND = rng.standard_normal((4, 9), np.float32), rng.standard_normal((90, 9), np.float32)
    key_N = np.arange(90)
    search = StreamingTopK(query_QD, 10)
    assert search.result().key_QK.shape == (4, 0)
    search.add(passage_ND[:40], key_N[:40])
    early = search.result()
    search.add(passage_ND[40:], key_N[40:])
    assert_exact(early, query_QD, passage_ND[:40], key_N[:40], 10)
    assert_exact(search.result(), query_QD, passage_ND, key_N, 10)


@pytest.mark.parametrize("layout", ["transposed", "every other", "reversed"])
def test_passages_and_queries_may_lie_in_memory_as_they_like(products: str, layout: str) -> None:
    """Vectors read as if they were contiguous."""
    rng = np.random.default_rng(0)

    def laid_out(rows: int) -> Floats:
        if layout == "transposed":
            return rng.standard_normal((33, rows), np.float32).T
        if layout == "reversed":
            return rng.standard_normal((rows, 33), np.float32)[::-1, ::-1]
        return rng.standard_normal((2 * rows, 66), np.float32)[::2, ::2]

    query_QD, passage_ND = laid_out(6), laid_out(400)
    found = searched(query_QD, passage_ND, np.arange(400), 12, [130])
    contiguous = (np.ascontiguousarray(query_QD), np.ascontiguousarray(passage_ND))
    assert_exact(found, *contiguous, np.arange(400), 12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_can_not_be_scored_are_refused_and_leave_no_trace(products: str, value: float) -> None:
    """NaN that sorts anywhere; an overflow that makes infinite scores; half of a portion added."""
    rng = np.random.default_rng(0)
    query_QD, passage_ND = rng.standard_normal((2, 5), np.float32), rng.standard_normal((30, 5), np.float32)
    search = StreamingTopK(query_QD, 7)
    search.add(passage_ND, np.arange(30))
    broken_ND = passage_ND.copy()
    broken_ND[17, 3] = value
    with pytest.raises(ValueError, match="passage 17 has values that are not finite"):
        search.add(broken_ND, np.arange(30, 60))
    assert_exact(search.result(), query_QD, passage_ND, np.arange(30), 7)
    with pytest.raises(ValueError, match="query 17 has values"):
        StreamingTopK(broken_ND, 7)


def test_shapes_and_types_that_do_not_fit_are_refused() -> None:
    """Broadcasts and casts that give results of another question."""
    query_QD, passage_ND = np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)
    search = StreamingTopK(query_QD, 1)
    with pytest.raises(ValueError, match=r"a passage is a row of a float32 matrix, not \(4, 3\) float64"):
        search.add(passage_ND.astype(np.float64), np.arange(4))
    with pytest.raises(ValueError, match="have 3 and 2 dimensions"):
        search.add(passage_ND[:, :2], np.arange(4))
    with pytest.raises(ValueError, match="4 passages need one int64 key each"):
        search.add(passage_ND, np.arange(3))
    with pytest.raises(ValueError, match="int64"):
        search.add(passage_ND, np.arange(4, dtype=np.int32))
    with pytest.raises(ValueError, match="a query is a row"):
        StreamingTopK(query_QD[0], 1)
    with pytest.raises(ValueError, match="a query is a row"):
        StreamingTopK(query_QD[:, :0], 1)
    with pytest.raises(ValueError, match=r"k \(0\) and memory_mb \(256\) are at least 1"):
        StreamingTopK(query_QD, 0)
    with pytest.raises(ValueError, match="on cpu or cuda, not on 'tpu'"):
        StreamingTopK(query_QD, 1, device="tpu")
    threshold_QR, none_QR = np.zeros((2, 1), np.float32), np.zeros((2, 1), np.int64)
    with pytest.raises(ValueError, match="one shape"):
        StreamingTopK(query_QD, 1, thresholds=Thresholds(threshold_QR, none_QR[:1], none_QR))
    with pytest.raises(ValueError, match="NaN"):
        StreamingTopK(query_QD, 1, thresholds=Thresholds(threshold_QR * np.nan, none_QR, none_QR))


def test_a_product_that_rules_out_too_little_gives_way_to_a_finer_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Embeddings that nearly agree: all passages scored one by one, or counted twice on the way."""
    use_products(monkeypatch, "bfloat16")
    rng = np.random.default_rng(0)
    direction_D = rng.standard_normal(64)
    query_QD = unit(direction_D + 0.03 * rng.standard_normal((20, 64)))
    passage_ND = unit(direction_D + 0.03 * rng.standard_normal((4_000, 64)))
    key_N = rng.permutation(4_000)
    score_QR = all_scores(query_QD, passage_ND[:2])
    none_QR = np.full(score_QR.shape, -1)
    search = StreamingTopK(query_QD, 10, thresholds=Thresholds(score_QR, none_QR, none_QR))
    scored: list[int] = []
    pair_scores = query_part.pair_scores

    def counted(*arguments: Floats) -> Floats:
        scored.append(len(arguments[2]))
        return pair_scores(*arguments)

    monkeypatch.setattr(query_part, "pair_scores", counted)
    search.add(passage_ND, key_N)
    assert_exact(search.result(), query_QD, passage_ND, key_N, 10)
    score_QN = all_scores(query_QD, passage_ND)
    np.testing.assert_array_equal(search.above_QR, (score_QN[:, None] > score_QR[:, :, None]).sum(axis=2))
    assert sum(scored) < 20 * 4_000 / 8
