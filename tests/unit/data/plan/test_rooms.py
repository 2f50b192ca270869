"""The order in which the rows of a room are dealt."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from distributed_hbt.data.plan.rooms import by_group, occurrence


@given(
    groups=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 5), min_size=1), key=st.integers(0, 2**64 - 1)
)
def test_rows_of_a_group_lie_together(groups, key):
    """A group in two places of the order can come twice in a batch."""
    group = np.array(groups)
    order = by_group(group, key)
    ordered = group[order]
    assert np.array_equal(np.sort(order), np.arange(len(group)))
    assert 1 + np.count_nonzero(np.diff(ordered)) == len(np.unique(group))
    expected = [int((ordered[:row] == ordered[row]).sum()) for row in range(len(group))]
    assert occurrence(ordered).tolist() == expected


def test_rows_of_a_group_are_in_random_order():
    """In order of language, batch 0 of a room would get the first language of every group."""
    group = np.arange(3000) % 1000
    first = by_group(group, 1).reshape(1000, 3)[:, 0] // 1000
    assert chisquare(np.bincount(first, minlength=3)).pvalue > 1e-3
    leading = [int(group[by_group(group, key)[0]]) for key in range(200)]
    assert len(set(leading)) > 150
