"""Batches that waste least."""

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.evaluation.batches import BATCH_COST, best_batches

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=9)
BUDGETS = st.integers(1, 100)


def cost(batches: list[list[int]], budget: int) -> float:
    return sum(len(batch) * max(batch) + BATCH_COST * budget for batch in batches)


def cheapest(lengths: list[int], budget: int) -> float:
    """Over every way to cut the sorted lengths within the budget."""
    ordered = sorted(lengths, reverse=True)
    costs = []
    for number in range(len(ordered)):
        for cuts in combinations(range(1, len(ordered)), number):
            ends = [0, *cuts, len(ordered)]
            batches = [ordered[first:stop] for first, stop in pairwise(ends)]
            if all(len(batch) == 1 or len(batch) * batch[0] <= budget for batch in batches):
                costs.append(cost(batches, budget))
    return min(costs)


@given(LENGTHS, BUDGETS)
def test_every_text_is_in_one_batch_longest_first_within_the_budget(lengths: list[int], budget: int) -> None:
    """Catches a text that is lost or encoded twice, a batch beyond the memory that the budget stands for."""
    batches = best_batches(np.array(lengths), budget)
    positions = np.concatenate(batches)
    assert sorted(positions.tolist()) == list(range(len(lengths)))
    assert np.array(lengths)[positions].tolist() == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or len(batch) * lengths[batch[0]] <= budget for batch in batches)


@given(LENGTHS, BUDGETS)
def test_no_other_cut_costs_less(lengths: list[int], budget: int) -> None:
    """Catches a greedy cut that fills batches whatever they pad, and one that forgets what a batch costs."""
    batches = [[lengths[i] for i in batch] for batch in best_batches(np.array(lengths), budget)]
    np.testing.assert_allclose(cost(batches, budget), cheapest(lengths, budget))


def test_few_texts_of_unlike_lengths_are_not_padded_to_the_longest() -> None:
    """Catches half of a small set's work spent on padding, where its budget would hold all of it."""
    batches = best_batches(np.array([500, 490, 20, 20, 20]), 16384)
    assert [batch.tolist() for batch in batches] == [[0, 1], [2, 3, 4]]


def test_a_text_without_tokens_has_a_place() -> None:
    """Catches a division by the length of an empty text."""
    assert [batch.tolist() for batch in best_batches(np.array([0, 3, 0]), 8)] == [[1], [0, 2]]


def test_no_texts_make_no_batch() -> None:
    """Catches a batch of nothing, which has no longest text."""
    assert best_batches(np.zeros(0, dtype=np.int64), 8) == []
