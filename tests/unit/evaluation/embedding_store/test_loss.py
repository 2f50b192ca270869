"""The measured loss of codes."""

from itertools import pairwise

import pytest

from distributed_hbt.evaluation.embedding_store import CodesLoss, evenly_chosen, merge_losses

EXACT = [("a", 0.9), ("b", 0.8), ("c", 0.7), ("d", 0.6)]
FOUND = [("a", 0.9), ("c", 0.7), ("d", 0.6), ("e", 0.1)]


def test_the_loss_of_a_query_by_hand() -> None:
    """Catches a recall of the wrong list, or of a cut that is not made."""
    assert CodesLoss.of_query(2, EXACT, FOUND) == CodesLoss(
        2, 1, 0.5, 0.5, pytest.approx(0.1), pytest.approx(0.1)
    )
    assert CodesLoss.of_query(3, EXACT, FOUND).recall == pytest.approx(2 / 3)
    assert CodesLoss.of_query(4, EXACT, FOUND).largest_score_loss == pytest.approx(0.5)
    assert CodesLoss.of_query(4, EXACT, EXACT) == CodesLoss(4, 1, 1, 1, 0, 0)


def test_a_corpus_smaller_than_the_depth_can_be_found_whole() -> None:
    """Catches a recall of 0.04 for everything that there is."""
    assert CodesLoss.of_query(100, EXACT, EXACT).recall == 1


def test_losses_are_merged_by_queries() -> None:
    """Catches a mean of means, and extremes that are averaged."""
    one = CodesLoss(10, 1, 0.5, 0.5, 0.4, 0.4)
    three = CodesLoss(10, 3, 0.9, 0.7, 0.0, 0.1)
    assert merge_losses([one, three]) == CodesLoss(10, 4, pytest.approx(0.8), 0.5, pytest.approx(0.1), 0.4)


def test_the_loss_reads_as_a_sentence() -> None:
    """Catches a rounding that makes a loss look like none."""
    assert str(CodesLoss(100, 100, 0.99996, 0.931, 0.00031, 0.0021)) == (
        "recall of the exact top 100: 0.999 over 100 queries (lowest 0.931); "
        "score at the last rank lower by 0.00031 on average, 0.0021 at most"
    )
    assert str(CodesLoss(100, 3, 1.0, 0.7 + 0.1 + 0.1, 0, 0)).startswith(
        "recall of the exact top 100: 1.000 over 3 queries (lowest 0.900)"
    )


@pytest.mark.parametrize(("num_queries", "at_most"), [(1, 100), (100, 100), (101, 100), (1190, 100), (7, 3)])
def test_measured_queries_are_spread(num_queries: int, at_most: int) -> None:
    """Catches a loss that is measured on the queries of one language, or on one query twice."""
    chosen = evenly_chosen(num_queries, at_most)
    assert len(set(chosen)) == min(num_queries, at_most)
    assert all(0 <= query < num_queries for query in chosen)
    assert chosen[-1] >= num_queries - num_queries / len(chosen) - 1
    gaps = {after - before for before, after in pairwise(chosen)}
    assert not gaps or max(gaps) - min(gaps) <= 1
