"""Paired tests and intervals for a macro mean over queries, and for one over queries and seeds.

What is compared is a sum of *contributions*, one a unit: a unit is what may vary by itself, a query or a
question that is asked in several languages, and its contribution is its share of the macro mean. Units of one
stratum are drawn alike (all queries of a language, say). With a single stratum the tests are the usual ones
on N * contribution: scipy's `ttest_rel`, `permutation_test(permutation_type="samples")`.

Shapes: U units, S seeds, K columns (comparisons).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 10_000
CONFIDENCE = 0.95
_SEED = 20_810_536
_AT_ONCE = 8_000_000
"""Random numbers that are held at once."""
_TIE = 1e-12


@dataclass(frozen=True, slots=True)
class TTest:
    """A two-sided test of a total against 0, with its interval."""

    p: float
    low: float
    high: float


def randomisation_p(contribution_UK: Floats, resamples: int = RESAMPLES) -> Floats:
    """Two-sided p_K of the paired randomisation test: under the null hypothesis the sign of every unit's
    difference is arbitrary (Fisher; Smucker et al. 2007 for retrieval).

    All sign patterns where they are no more than `resamples`, else as many random ones, the observed one
    counted among them. The patterns are the same in every call.
    """
    observed_K = np.abs(contribution_UK.sum(axis=0))
    # What rounding alone may change of a sum must not decide whether it is as large as the observed one.
    bound_K = observed_K - _TIE * np.abs(contribution_UK).sum(axis=0)
    extreme_K, count = np.zeros(contribution_UK.shape[1]), 0
    exact = 2 ** min(len(contribution_UK), 62) <= resamples
    for sign_RU in _all_signs(len(contribution_UK)) if exact else _signs(len(contribution_UK), resamples):
        extreme_K += (np.abs(sign_RU @ contribution_UK) >= bound_K).sum(axis=0)
        count += len(sign_RU)
    p_K = extreme_K / count if exact else (extreme_K + 1) / (count + 1)
    return np.asarray(p_K, np.float64)


def t_test(contribution_U: Floats, stratum_U: Integers) -> TTest:
    """Paired t-test of the sum against 0; over several strata with Welch's degrees of freedom."""
    variance, freedom = _variance_over_units(contribution_U, stratum_U)
    return _t_test(float(contribution_U.sum()), variance, freedom)


def seeds_t_test(one_SU: Floats, other_SU: Floats, stratum_U: Integers) -> TTest:
    """Test of the systems behind the runs: would other seeds and other queries show the difference?

    Seeds and queries are crossed random effects; the variance of the difference is that over seeds, each
    system's own, plus that over queries less the residual, which both contain (the quasi F of Clark 1973,
    with Satterthwaite's degrees of freedom). It is never taken to be smaller than either part. A system with
    a single seed is taken to vary as the other does (Crawford and Howell 1998).

    Runs of one seed are not paired: that halves the degrees of freedom, and with two seeds it calls equal
    systems different in 9% of cases instead of 5% (simulated).

    Args:
        one_SU, other_SU: contributions, of which one has two seeds or more.
    """
    difference_U = other_SU.mean(axis=0) - one_SU.mean(axis=0)
    over_units, freedom_units = _variance_over_units(difference_U, stratum_U)
    parts = [_variance_over_seeds(x_SU, stratum_U, runs) for x_SU, runs in _varying(one_SU, other_SU)]
    over_seeds, residual = sum(part.seeds for part in parts), sum(part.residual for part in parts)
    variance = max(over_units + over_seeds - residual, over_units, over_seeds)
    spread = over_units**2 / freedom_units if freedom_units > 0 else 0.0
    for part in parts:
        spread += (part.seeds**2 + part.residual**2 / max(freedom_units, 1.0)) / part.freedom
    freedom_all = variance**2 / spread if spread > 0 else 1.0
    return _t_test(float(difference_U.sum()), variance, freedom_all)


def seeds_interval(totals_S: Floats) -> tuple[float, float]:
    """Interval of the mean over seeds, two or more (t)."""
    test = t_test(totals_S / len(totals_S), np.zeros(len(totals_S), np.int64))
    return test.low, test.high


def bootstrap_intervals(
    contribution_UK: Floats, stratum_U: Integers, resamples: int = RESAMPLES
) -> tuple[Floats, Floats]:
    """Percentile interval, low_K and high_K, of the sums: units are drawn anew within their strata."""
    random = np.random.default_rng(_SEED)
    totals_RK = np.zeros((resamples, contribution_UK.shape[1]))
    for stratum in np.unique(stratum_U):
        of_stratum_NK = contribution_UK[stratum_U == stratum]
        count = len(of_stratum_NK)
        for first, stop in _parts(resamples, count):
            times_RN = random.multinomial(count, np.full(count, 1 / count), size=stop - first)
            totals_RK[first:stop] += times_RN @ of_stratum_NK
    tail = (1 - CONFIDENCE) / 2
    low_K, high_K = np.quantile(totals_RK, [tail, 1 - tail], axis=0)
    return low_K, high_K


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): the chance of any false difference in the family stays at the
    level, whatever the dependence."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def effect_size(contribution_U: Floats, stratum_U: Integers) -> float:
    """Mean difference over its standard deviation across units (Cohen's d of paired samples); 0 where no unit
    differs from another."""
    variance, _ = _variance_over_units(contribution_U, stratum_U)
    return float(contribution_U.sum() / np.sqrt(len(contribution_U) * variance)) if variance > 0 else 0.0


def wins_and_losses(contribution_U: Floats) -> tuple[int, int, int]:
    """(above 0, below 0, ties)."""
    tie = _TIE * float(np.abs(contribution_U).max(initial=0.0))
    wins, losses = int((contribution_U > tie).sum()), int((contribution_U < -tie).sum())
    return wins, losses, len(contribution_U) - wins - losses


def _variance_over_units(contribution_U: Floats, stratum_U: Integers) -> tuple[float, float]:
    """Variance of the sum, and its degrees of freedom (Welch, Satterthwaite). A stratum of a single unit
    says nothing of its variance: it adds none."""
    variance = spread = 0.0
    for stratum in np.unique(stratum_U):
        of_stratum_N = contribution_U[stratum_U == stratum]
        if len(of_stratum_N) > 1:
            part = len(of_stratum_N) * float(of_stratum_N.var(ddof=1))
            variance += part
            spread += part**2 / (len(of_stratum_N) - 1)
    return variance, variance**2 / spread if spread > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _SeedVariance:
    """Variance of a mean over seeds, how much of it is the residual's, and its degrees of freedom."""

    seeds: float
    residual: float
    freedom: int


def _varying(one_SU: Floats, other_SU: Floats) -> list[tuple[Floats, float]]:
    """Contributions whose variance over seeds enters, and the number of runs that it is divided by."""
    if min(len(one_SU), len(other_SU)) > 1:
        return [(one_SU, len(one_SU)), (other_SU, len(other_SU))]
    several_SU = max(one_SU, other_SU, key=len)
    return [(several_SU, 1 / (1 + 1 / len(several_SU)))]


def _variance_over_seeds(contribution_SU: Floats, stratum_U: Integers, runs: float) -> _SeedVariance:
    seeds = len(contribution_SU)
    total_S = contribution_SU.sum(axis=1)
    residual = 0.0
    for stratum in np.unique(stratum_U):
        part_SN = contribution_SU[:, stratum_U == stratum]
        if (count := part_SN.shape[1]) > 1:
            rest_SN = part_SN - part_SN.mean(axis=0) - part_SN.mean(axis=1, keepdims=True) + part_SN.mean()
            residual += count * float((rest_SN**2).sum()) / ((seeds - 1) * (count - 1))
    return _SeedVariance(float(total_S.var(ddof=1)) / runs, residual / runs, seeds - 1)


def _t_test(total: float, variance: float, freedom: float) -> TTest:
    from scipy import stats

    if variance <= 0 or freedom <= 0:  # no unit differs from another: nothing varies, or a single unit
        return TTest(1.0 if total == 0 or freedom <= 0 else 0.0, total, total)
    error = np.sqrt(variance)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(total) / error, freedom))
    return TTest(p, float(total - half), float(total + half))


def _all_signs(units: int) -> Iterator[Floats]:
    patterns = np.arange(2**units)[:, None] >> np.arange(units) & 1
    yield (1 - 2 * patterns).astype(np.float64)


def _signs(units: int, resamples: int) -> Iterator[Floats]:
    random = np.random.default_rng(_SEED)
    for first, stop in _parts(resamples, units):
        yield (1 - 2 * random.integers(0, 2, size=(stop - first, units), dtype=np.int8)).astype(np.float64)


def _parts(resamples: int, units: int) -> Iterator[tuple[int, int]]:
    step = max(1, _AT_ONCE // max(1, units))
    for first in range(0, resamples, step):
        yield first, min(first + step, resamples)
