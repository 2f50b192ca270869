"""Curves find what made the figures, and say how sure they are."""

import numpy as np
import pytest

from distributed_hbt.errors import ConfigError
from distributed_hbt.studies.curve import Curve, Point, check_axis, fit_curve

SHARES = (0.0625, 0.125, 0.25, 0.5, 1.0)


def noisy(function: object, xs: tuple[float, ...], noise: float, seed: int = 0, runs: int = 3) -> list[Point]:
    random = np.random.default_rng(seed)
    return [Point(x, tuple((function(x) + random.normal(0, noise, runs)).tolist())) for x in xs]  # type: ignore[operator]


def estimate(curve: Curve, name: str) -> tuple[float, float, float]:
    [found] = [one for one in curve.estimates if one.name == name]
    return found.value, found.low, found.high


def test_log_linear_is_least_squares() -> None:
    """Without noise: 0.3 at 1, 0.02 more with each doubling."""
    curve = fit_curve(noisy(lambda x: 0.3 + 0.02 * np.log2(x), SHARES, 0.0), "log_linear")
    assert estimate(curve, "gain a doubling") == pytest.approx((0.02, 0.02, 0.02))
    assert curve.fitted[-1] == pytest.approx(0.3)
    assert curve.explained == pytest.approx(1.0)


def test_the_interval_of_a_slope_covers_it_as_often_as_it_says() -> None:
    """100 studies of 5 shares and 3 seeds: 95% intervals that hold the truth fewer than 88 times are too
    short."""
    covered = 0
    for seed in range(100):
        points = noisy(lambda x: 0.3 + 0.02 * np.log2(x), SHARES, 0.02, seed)
        _, low, high = estimate(fit_curve(points, "log_linear"), "gain a doubling")
        covered += low <= 0.02 <= high
    assert covered >= 88


def test_quadratic_finds_the_best_value() -> None:
    alphas = (0.0, 0.25, 0.5, 0.75, 1.0)
    curve = fit_curve(noisy(lambda x: 0.5 - (x - 0.4) ** 2, alphas, 0.005), "quadratic")
    best, low, high = estimate(curve, "best value")
    assert low <= 0.4 <= high
    assert best == pytest.approx(0.4, abs=0.05)


def test_quadratic_that_only_rises_is_best_at_its_end() -> None:
    curve = fit_curve(noisy(lambda x: x, (0.0, 0.5, 1.0), 0.0), "quadratic")
    assert estimate(curve, "best value")[0] == 1.0


def test_critical_point_is_where_the_fall_begins() -> None:
    """Level up to 64, then 0.05 less with each doubling."""
    batches = (16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
    curve = fit_curve(
        noisy(lambda x: 0.5 - 0.05 * max(0.0, np.log2(x / 64)), batches, 0.003), "critical_point"
    )
    point, low, high = estimate(curve, "critical point")
    assert low <= 64 * 1.1
    assert high >= 64 / 1.1
    assert point == pytest.approx(64, rel=0.15)
    assert estimate(curve, "gain a doubling beyond it")[0] == pytest.approx(-0.05, abs=0.01)


def test_figures_that_do_not_fall_have_their_critical_point_at_the_end() -> None:
    curve = fit_curve(noisy(lambda x: 0.5, (16.0, 32.0, 64.0), 0.0), "critical_point")
    assert estimate(curve, "critical point")[0] == pytest.approx(64)


def test_forms_refuse_axes_that_they_can_not_fit() -> None:
    with pytest.raises(ConfigError, match="quadratic needs 3 values of the axis or more, there are 2"):
        check_axis([0.0, 1.0], "quadratic")
    with pytest.raises(ConfigError, match="log_linear takes a logarithm, and the axis has 0"):
        check_axis([0.0, 0.5, 1.0], "log_linear")
