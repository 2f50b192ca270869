"""Computed permutations: bijective, keyed, and well mixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from distributed_hbt.data.plan.keyed import fold, scatter32, uniform
from distributed_hbt.data.plan.permutation import permute


def permuted(size: int, key: int) -> np.ndarray:
    return permute(np.arange(size), np.full(size, size), np.full(size, key, dtype=np.uint64))


@given(size=st.integers(1, 3000), key=st.integers(0, 2**64 - 1))
def test_every_position_is_hit_once(size, key):
    """Cycle walking that stops early, or a lossy round, repeats rows within an epoch and skips others."""
    assert np.array_equal(np.sort(permuted(size, key)), np.arange(size))


def test_sizes_and_keys_may_differ_by_element():
    """Rows of several streams and epochs are permuted in one call."""
    together = permute(np.array([3, 3, 4]), np.array([10, 1000, 1000]), np.array([1, 1, 2], dtype=np.uint64))
    assert together.tolist() == [permuted(10, 1)[3], permuted(1000, 1)[3], permuted(1000, 2)[4]]


def test_a_huge_range_is_permuted_without_an_array_of_it():
    """An implementation that stores the permutation would need 8 TiB here."""
    size = 2**40 + 1
    position = np.arange(1000) + 2**39
    image = permute(position, np.full(1000, size), np.full(1000, 7, dtype=np.uint64))
    assert len(set(image.tolist())) == 1000
    assert image.min() >= 0
    assert image.max() < size


@pytest.mark.parametrize("size", [2, 3, 5, 6, 17])
def test_small_ranges_are_mixed_evenly(size):
    """Feistel networks over very few bits send a position to a few places only."""
    keys = np.arange(4000, dtype=np.uint64)
    image = permute(np.zeros(4000, np.int64), np.full(4000, size), keys)
    assert chisquare(np.bincount(image, minlength=size)).pvalue > 1e-3
    image = permute(np.full(4000, size - 1), np.full(4000, size), keys)
    assert chisquare(np.bincount(image, minlength=size)).pvalue > 1e-3


def test_all_orders_of_three_are_equally_frequent():
    """Positions that are even one by one can still move together."""
    keys = np.arange(6000, dtype=np.uint64)
    order = [permute(np.full(6000, at), np.full(6000, 3), keys) for at in range(3)]
    codes = order[0] * 9 + order[1] * 3 + order[2]
    assert chisquare(np.unique(codes, return_counts=True)[1]).pvalue > 1e-3
    assert len(np.unique(codes)) == 6


def test_neighbours_are_torn_apart():
    """A permutation that keeps neighbours together gives batches of one source file."""
    image = permuted(100_000, 5)
    assert abs(np.corrcoef(image[:-1], image[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(image, np.arange(100_000))[0, 1]) < 0.02
    assert not np.array_equal(image, permuted(100_000, 6))


@given(key=st.integers(0, 2**64 - 1))
def test_scatter_keeps_different_numbers_different(key):
    """Two groups with one order number would be dealt as one, or interleaved."""
    numbers = np.concatenate([np.arange(2000), np.arange(2**32 - 2000, 2**32)])
    assert len(np.unique(scatter32(numbers, key))) == 4000


def test_keys_tell_names_apart_and_are_fixed():
    """Python's own hash() changes between processes, so that ranks would disagree."""
    assert fold(13, "rows", "mono:en") == 13376259350091392917
    assert fold("1") != fold(1)
    assert fold("a", "b") != fold("ab")


def test_uniform_numbers_are_uniform():
    """Passage languages are drawn with them."""
    draws = uniform(3, 20_000)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert chisquare(np.histogram(draws, bins=50, range=(0, 1))[0]).pvalue > 1e-3
