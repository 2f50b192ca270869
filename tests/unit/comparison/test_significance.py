"""The tests equal scipy's and hand calculations, and are wrong as seldom as they promise."""

import numpy as np
import pytest
from scipy import stats

from distributed_hbt.comparison.significance import (
    bootstrap_intervals,
    effect_size,
    holm,
    randomisation_p,
    seeds_interval,
    seeds_t_test,
    t_test,
    wins_and_losses,
)

ONE_STRATUM = np.zeros(30, np.int64)


def differences(count: int = 30, shift: float = 0.3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, count)


def test_the_t_test_of_one_stratum_is_scipys() -> None:
    """Contributions are 1/N of the values; a forgotten N changes the interval, not the p value."""
    d_U = differences()
    ours, scipys = t_test(d_U / 30, ONE_STRATUM), stats.ttest_1samp(d_U, 0)
    interval = scipys.confidence_interval(0.95)
    assert ours.p == pytest.approx(scipys.pvalue, rel=1e-12)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), rel=1e-12)


def test_the_t_test_of_two_strata_by_hand() -> None:
    """Macro mean of two languages: variances of the languages' means add, a quarter each; Welch's degrees."""
    one_N, other_N = differences(12, 0.5, 2), differences(20, 0.1, 3)
    contribution_U = np.concatenate([one_N / 12, other_N / 20]) / 2
    stratum_U = np.array([0] * 12 + [1] * 20)
    mean = (one_N.mean() + other_N.mean()) / 2
    a, b = one_N.var(ddof=1) / 12 / 4, other_N.var(ddof=1) / 20 / 4
    freedom = (a + b) ** 2 / (a**2 / 11 + b**2 / 19)
    expected = 2 * stats.t.sf(abs(mean) / np.sqrt(a + b), freedom)
    assert t_test(contribution_U, stratum_U).p == pytest.approx(expected, rel=1e-12)


def test_the_randomisation_test_is_scipys_over_all_sign_patterns() -> None:
    """12 queries: both enumerate the 4,096 patterns."""
    d_U = differences(12, 0.5)
    scipys = stats.permutation_test(
        (d_U,), np.mean, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    )
    assert randomisation_p(d_U[:, None] / 12)[0] == pytest.approx(scipys.pvalue, rel=1e-12)


def test_the_randomisation_test_by_hand() -> None:
    """Differences 1, 2, 3: of the 8 patterns only +++ and --- reach 6 in absolute value."""
    assert randomisation_p(np.array([[1.0], [2.0], [3.0]]))[0] == 2 / 8


def test_ties_by_rounding_count_as_ties() -> None:
    """0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in floating point: patterns with the observed sum count."""
    column_U = np.array([0.1, 0.2, 0.3, -0.6, 0.6])
    exact = randomisation_p(np.array([[1.0], [2.0], [3.0], [-6.0], [6.0]]))[0]
    assert randomisation_p(column_U[:, None])[0] == exact


def test_the_sampled_randomisation_test_is_close_to_scipys() -> None:
    d_U = differences(200, 0.15)
    scipys = stats.permutation_test(
        (d_U,), np.mean, permutation_type="samples", n_resamples=20_000, random_state=np.random.default_rng(0)
    )
    assert randomisation_p(d_U[:, None])[0] == pytest.approx(scipys.pvalue, abs=0.01)


def test_the_bootstrap_interval_is_scipys_percentile_interval() -> None:
    d_U = differences(100)
    low_K, high_K = bootstrap_intervals(d_U[:, None] / 100, np.zeros(100, np.int64))
    scipys = stats.bootstrap(
        (d_U,), np.mean, method="percentile", n_resamples=10_000, random_state=np.random.default_rng(0)
    )
    width = high_K[0] - low_K[0]
    assert low_K[0] == pytest.approx(scipys.confidence_interval.low, abs=0.03 * width)
    assert high_K[0] == pytest.approx(scipys.confidence_interval.high, abs=0.03 * width)


def test_the_bootstrap_keeps_to_strata() -> None:
    """Two languages, each without any variance: drawn across languages, the mean would vary."""
    contribution_U = np.array([0.1] * 5 + [0.9] * 5)[:, None]
    low_K, high_K = bootstrap_intervals(contribution_U, np.array([0] * 5 + [1] * 5))
    assert low_K[0] == pytest.approx(5.0)
    assert high_K[0] == pytest.approx(5.0)


def test_holm_by_hand() -> None:
    """0.01 * 4, 0.02 * 3, 0.03 * 2, then never below the one before, never above 1."""
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_effect_size_is_cohens_d_of_paired_samples() -> None:
    d_U = differences()
    assert effect_size(d_U / 30, ONE_STRATUM) == pytest.approx(d_U.mean() / d_U.std(ddof=1), rel=1e-12)
    assert effect_size(np.zeros(30), ONE_STRATUM) == 0.0


def test_wins_and_losses() -> None:
    assert wins_and_losses(np.array([0.5, -0.1, 0.0, 1e-17, 0.2])) == (2, 1, 2)


def test_the_interval_over_seeds_is_students() -> None:
    totals_S = np.array([0.30, 0.32, 0.37])
    half = stats.t.ppf(0.975, 2) * totals_S.std(ddof=1) / np.sqrt(3)
    assert seeds_interval(totals_S) == pytest.approx((0.33 - half, 0.33 + half))


def test_seeds_and_queries_by_hand() -> None:
    """Two seeds of one system, three of the other, three queries."""
    one_SU = np.array([[1.0, 2.0, 4.0], [2.0, 5.0, 4.0]])
    other_SU = np.array([[3.0, 4.0, 5.0], [2.0, 5.0, 8.0], [4.0, 3.0, 8.0]])
    d_U = other_SU.mean(axis=0) - one_SU.mean(axis=0)
    queries = d_U.var(ddof=1) / 3
    seeds = [x_SU.mean(axis=1).var(ddof=1) / len(x_SU) for x_SU in (one_SU, other_SU)]
    rest = []
    for x_SU in (one_SU, other_SU):
        rest_SU = x_SU - x_SU.mean(axis=1, keepdims=True) - x_SU.mean(axis=0) + x_SU.mean()
        rest.append((rest_SU**2).sum() / ((len(x_SU) - 1) * 2) / 3 / len(x_SU))
    variance = queries + sum(seeds) - sum(rest)
    variance = max(variance, queries, sum(seeds))
    freedom = variance**2 / (
        queries**2 / 2 + (seeds[0] ** 2 + rest[0] ** 2 / 2) / 1 + (seeds[1] ** 2 + rest[1] ** 2 / 2) / 2
    )
    expected = 2 * stats.t.sf(abs(d_U.mean()) / np.sqrt(variance), freedom)
    found = seeds_t_test(one_SU / 3, other_SU / 3, np.zeros(3, np.int64))
    assert found.p == pytest.approx(expected, rel=1e-12)


def test_a_single_seed_is_taken_to_vary_as_the_other_does() -> None:
    """Crawford and Howell: without variance over queries t = difference / (s sqrt(1 + 1/n))."""
    totals_S = np.array([0.30, 0.32, 0.37, 0.35])
    several_SU = np.repeat(totals_S[:, None] / 5, 5, axis=1)
    single_SU = np.full((1, 5), 0.5 / 5)
    t = (0.5 - totals_S.mean()) / (totals_S.std(ddof=1) * np.sqrt(1 + 1 / 4))
    found = seeds_t_test(several_SU, single_SU, np.zeros(5, np.int64))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 3), rel=1e-9)


PAIRS = 1000


def standard_errors_above(level: float, found: float) -> float:
    return (found - level) / np.sqrt(level * (1 - level) / PAIRS)


def test_equal_systems_are_called_different_at_most_at_the_level_one_seed() -> None:
    """1,000 pairs of equal systems with skewed values, as average precision has: randomisation and t."""
    random = np.random.default_rng(7)
    difficulty_UK = random.beta(0.6, 1.2, (150, PAIRS))
    noise = lambda: random.normal(0, 0.1, (150, PAIRS)) * random.exponential(1.0, (150, PAIRS))  # noqa: E731
    d_UK = np.clip(difficulty_UK + noise(), 0, 1) - np.clip(difficulty_UK + noise(), 0, 1)
    share = float((randomisation_p(d_UK / 150, 2000) <= 0.05).mean())
    assert standard_errors_above(0.05, share) < 3
    assert share > 0.02  # a test that never calls anything different is no test
    of_t = np.mean([t_test(d_UK[:, k] / 150, np.zeros(150, np.int64)).p <= 0.05 for k in range(PAIRS)])
    assert standard_errors_above(0.05, float(of_t)) < 3


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equal_systems_are_called_different_at_most_at_the_level_several_seeds(seeds: int) -> None:
    """Seeds that matter as much as queries do: a test over queries alone is wrong more than half the time."""
    random = np.random.default_rng(11)
    called = over_queries = 0
    for _ in range(PAIRS):
        query_U = random.beta(0.6, 1.2, 100)
        one_SU, other_SU = (
            query_U + random.normal(0, 0.03, (seeds, 1)) + random.normal(0, 0.1, (seeds, 100))
            for _ in range(2)
        )
        stratum_U = np.zeros(100, np.int64)
        test = seeds_t_test(one_SU / 100, other_SU / 100, stratum_U)
        called += test.p <= 0.05
        over_queries += t_test((other_SU - one_SU).mean(axis=0) / 100, stratum_U).p <= 0.05
    assert standard_errors_above(0.05, called / PAIRS) < 3
    assert over_queries / PAIRS > 0.3


def test_a_difference_that_is_there_is_found() -> None:
    """Power: a shift of four seed deviations."""
    random = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        query_U = random.beta(0.6, 1.2, 100)
        one_SU, other_SU = (
            query_U + shift + random.normal(0, 0.01, (5, 1)) + random.normal(0, 0.1, (5, 100))
            for shift in (0.0, 0.04)
        )
        found += seeds_t_test(one_SU / 100, other_SU / 100, np.zeros(100, np.int64)).p <= 0.05
    assert found > 180
