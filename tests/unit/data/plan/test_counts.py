"""Multinomial draws with random access: consistent with each other, and distributed as independent ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

from distributed_hbt.data.plan.counts import MultinomialSeries


def series(probabilities, trials, key=1) -> MultinomialSeries:
    return MultinomialSeries(key, np.array(probabilities), trials)


@settings(max_examples=30, deadline=None)
@given(key=st.integers(0, 2**64 - 1), trials=st.sampled_from([1, 7, 4096]), first=st.integers(0, 3_000_000))
def test_the_total_before_a_step_is_the_sum_of_the_steps(key, trials, first):
    """An error in the descent lets streams skip or repeat rows between steps."""
    draws = series([0.5, 0.2, 0.3], trials, key)
    before = draws.before(first)
    for step in range(first, first + 5):
        assert np.array_equal(draws.before(step), before)
        at = draws.at(step)
        assert at.sum() == trials
        before = before + at
    assert before.sum() == trials * (first + 5)


def test_steps_are_distributed_as_independent_draws():
    """A split that is not hypergeometric has the right mean and the wrong scatter."""
    draws = series([0.25, 0.75], 4, key=11)
    counts = np.array([draws.at(step)[0] for step in range(4000)])
    observed = np.bincount(counts, minlength=5)
    assert chisquare(observed, 4000 * binom.pmf(np.arange(5), 4, 0.25)).pvalue > 1e-3
    pairs = np.bincount((counts[::2] >= 1) * 2 + (counts[1::2] >= 1), minlength=4)
    none = 0.75**4
    expected = 2000 * np.array([none**2, none * (1 - none), none * (1 - none), (1 - none) ** 2])
    assert chisquare(pairs, expected).pvalue > 1e-3


def test_totals_scatter_as_sums_of_independent_draws():
    """Quotas instead of draws would give every stretch of steps the same total."""
    totals = np.array([series([0.5, 0.5], 1, key).before(1000)[0] for key in range(300)])
    # variance 250; 300 samples scatter by sqrt(2 / 299) = 8 percent
    assert 170 < totals.var() < 340
    assert abs(totals.mean() - 500) < 4


def test_blocks_fit_the_generator_for_any_number_of_trials():
    """numpy's hypergeometric draw refuses sums of 10^9 and more."""
    assert series([0.5, 0.5], 1).levels == 20
    assert series([0.5, 0.5], 1 << 17).levels == 12
    assert series([0.5, 0.5], 999_999_999).levels == 0
    assert series([0.5, 0.5], 1 << 17).before(10_000).sum() == 10_000 << 17
    with pytest.raises(ValueError, match="trials 1000000000"):
        series([0.5, 0.5], 1_000_000_000)


def test_one_category_needs_no_draws():
    """Monolingual streams are addressed in constant time."""
    assert series([1.0], 96).window(10**12)[0].tolist() == [96 * 10**12]


def test_probabilities_must_be_probabilities():
    """An unnormalised vector would silently put the rest on the last category."""
    with pytest.raises(ValueError, match="sum 1"):
        series([0.5, 0.4], 1)
