"""Exact search and ranking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distributed_hbt.evaluation import full_ranking
from distributed_hbt.evaluation.full_ranking import (
    build_pool,
    rank,
    ranks_of_columns,
    score_blocks,
    strictly_decreasing,
)

SCORES = st.lists(
    st.floats(width=32, allow_nan=False, min_value=-(2.0**100), max_value=2.0**100)
    | st.sampled_from([0.0, -0.0, 0.5, -0.5]),
    min_size=1,
    max_size=40,
)


def test_best_scores_come_first_and_ties_by_column() -> None:
    """Catches an unstable sort, and one that takes -0.0 for less than 0.0."""
    scores_BN = np.array([[0.1, 0.9, -0.5, 0.9, -1.0], [0.0, -0.0, 0.0, 1e-40, -1e-40]], np.float32)
    assert rank(scores_BN).tolist() == [[1, 3, 0, 2, 4], [3, 0, 1, 2, 4]]


@given(SCORES)
@settings(deadline=None)
def test_ranking_equals_a_stable_sort_and_ranks_invert_it(scores: list[float]) -> None:
    """Catches a mapping of floats to integers that breaks their order."""
    scores_BN = np.array([scores], np.float32)
    order = rank(scores_BN)
    expected = sorted(range(len(scores)), key=lambda column: -scores_BN[0, column])
    assert order[0].tolist() == expected
    assert ranks_of_columns(order)[0, order[0]].tolist() == list(range(1, len(scores) + 1))


@given(SCORES)
@settings(deadline=None)
def test_written_scores_differ_and_move_no_more_than_needed(scores: list[float]) -> None:
    """Catches ties in a run file, which trec_eval would order the other way round."""
    ordered = np.sort(np.array(scores, np.float32))[::-1]
    found = strictly_decreasing(ordered)
    assert found.dtype == np.float32
    assert (found[1:] < found[:-1]).all()
    assert (found <= ordered).all()
    distinct = np.unique(ordered)[::-1]
    if len(distinct) == len(ordered):
        assert (found == ordered).all()


def test_a_tie_is_lowered_by_one_step() -> None:
    """Catches a step that is larger than the last digit of float32."""
    half = np.float32(0.5)
    below = np.nextafter(half, np.float32(0))
    assert strictly_decreasing(np.array([half, half, below, 0.25], np.float32)).tolist() == [
        half,
        below,
        np.nextafter(below, np.float32(0)),
        0.25,
    ]


def test_blocks_cover_every_query_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a last block that is lost, and a block larger than the bound."""
    monkeypatch.setattr(full_ranking, "BLOCK_SCORES", 10)
    query_QD = np.arange(14, dtype=np.float32).reshape(7, 2)
    candidate_ND = np.array([[1, 0], [0, 1], [1, 1], [2, 0]], np.float32)
    blocks = list(score_blocks(query_QD, candidate_ND))
    assert [start for start, _ in blocks] == [0, 2, 4, 6]
    assert all(scores.size <= 10 for _, scores in blocks)
    np.testing.assert_array_equal(np.concatenate([s for _, s in blocks]), query_QD @ candidate_ND.T)


def test_the_pool_is_ordered_by_doc_id_as_a_string() -> None:
    """Catches ties decided by the order of the files: as strings, article 10 stands before article 9."""
    pool = build_pool(["en:9", "de:9", "en:10"], np.array([[1], [2], [3]], np.float32), ["en", "de", "en"])
    assert pool.doc_ids == ("de:9", "en:10", "en:9")
    assert pool.embedding_ND.tolist() == [[2], [3], [1]]
    assert pool.columns_of(["en"]).tolist() == [1, 2]
