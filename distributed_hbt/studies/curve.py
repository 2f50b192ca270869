"""A curve through the figures of a numbered axis, with the uncertainty that seeds leave."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.errors import ConfigError

Floats = NDArray[np.float64]

_RESAMPLES = 2000
_SEED = 7
_GRID = 101
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of one value of the axis, a seed each."""

    x: float
    of_seeds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A parameter with its 95% interval."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The fitted curve and a 95% band on a grid of x; `explained`: the share of the variance of all figures
    that it accounts for (R^2)."""

    grid: tuple[float, ...]
    fitted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    estimates: tuple[Estimate, ...]
    explained: float


Fit = Callable[[Floats, Floats], tuple[Callable[[Floats], Floats], dict[str, float]]]
"""x and y of all figures -> the curve, and its parameters."""


def fit_curve(points: Sequence[Point], form: str) -> Curve:
    """Least squares over the figures of all seeds. Bands and intervals come from a bootstrap in which every
    value of the axis keeps its number of figures: residuals of all of them are drawn anew around the curve.

    `form` is that of `CurveConfig.fit`; see `check_axis`.
    """
    x = np.array([point.x for point in points for _ in point.of_seeds])
    y = np.array([value for point in points for value in point.of_seeds])
    fit = _FORMS[form]
    curve, parameters = fit(x, y)
    grid = _grid(x, form)
    residual = y - curve(x)
    # Least squares leaves too small residuals: one degree of freedom goes with every parameter.
    residual *= np.sqrt(len(y) / max(1, len(y) - len(parameters)))
    random = np.random.default_rng(_SEED)
    bands, drawn = [], []
    for _ in range(_RESAMPLES):
        again, parameters_again = fit(x, curve(x) + random.choice(residual, len(y)))
        bands.append(again(grid))
        drawn.append(parameters_again)
    low, high = np.quantile(np.stack(bands), [_TAIL, 1 - _TAIL], axis=0)
    spread = float(((y - y.mean()) ** 2).sum())
    return Curve(
        grid=tuple(grid.tolist()),
        fitted=tuple(curve(grid).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
        estimates=tuple(_estimate(name, value, drawn) for name, value in parameters.items()),
        explained=1 - float(((y - curve(x)) ** 2).sum()) / spread if spread > 0 else 1.0,
    )


def _estimate(name: str, value: float, drawn: Sequence[dict[str, float]]) -> Estimate:
    low, high = np.quantile([one[name] for one in drawn], [_TAIL, 1 - _TAIL])
    return Estimate(name, value, float(low), float(high))


def check_axis(values: Sequence[float], form: str) -> None:
    """Raises ConfigError where the form can not be fitted to figures at these values."""
    needed = {"log_linear": 2, "quadratic": 3, "critical_point": 3}[form]
    if len(set(values)) < needed:
        what = f"{form} needs {needed} values of the axis or more, there are {len(set(values))}"
        raise ConfigError("curve.fit", what, "add values, or choose another form")
    if form != "quadratic" and min(values) <= 0:
        what = f"{form} takes a logarithm, and the axis has {min(values):g}"
        raise ConfigError("curve.fit", what, "leave that value out, or choose another form")


def _grid(x: Floats, form: str) -> Floats:
    if form == "quadratic":
        return np.linspace(x.min(), x.max(), _GRID)
    return np.geomspace(x.min(), x.max(), _GRID)


def _log_linear(x: Floats, y: Floats) -> tuple[Callable[[Floats], Floats], dict[str, float]]:
    slope, level = np.polyfit(np.log2(x), y, 1)
    return lambda at: level + slope * np.log2(at), {"gain a doubling": float(slope)}


def _quadratic(x: Floats, y: Floats) -> tuple[Callable[[Floats], Floats], dict[str, float]]:
    c, b, a = np.polyfit(x, y, 2)
    ends = [float(x.min()), float(x.max())]
    inside = [-b / (2 * c)] if c < 0 and ends[0] < -b / (2 * c) < ends[1] else []
    best = max([*ends, *inside], key=lambda at: a + b * at + c * at * at)
    return lambda at: a + b * at + c * at * at, {"best value": float(best), "curvature": float(c)}


def _critical_point(x: Floats, y: Floats) -> tuple[Callable[[Floats], Floats], dict[str, float]]:
    """Level up to a point on a fine grid, then a slope below 0 in log2 x: the point of least squares."""
    log_x = np.log2(x)
    points = np.linspace(log_x.min(), log_x.max(), _GRID)
    beyond = np.maximum(0.0, log_x[None, :] - points[:, None])
    centred = beyond - beyond.mean(axis=1, keepdims=True)
    norm = (centred**2).sum(axis=1)
    safe = np.where(norm > 0, norm, 1.0)
    slope = np.where(norm > 0, np.minimum(0.0, centred @ (y - y.mean()) / safe), 0.0)
    level = y.mean() - slope * beyond.mean(axis=1)
    errors = ((level[:, None] + slope[:, None] * beyond - y) ** 2).sum(axis=1)
    best = len(points) - 1 - int(np.argmin(errors[::-1]))  # of equal ones the largest: no fall was seen
    at_point, of_slope, of_level = points[best], slope[best], level[best]
    return (
        lambda at: of_level + of_slope * np.maximum(0.0, np.log2(at) - at_point),
        {"critical point": float(2**at_point), "gain a doubling beyond it": float(of_slope)},
    )


_FORMS: dict[str, Fit] = {
    "log_linear": _log_linear,
    "quadratic": _quadratic,
    "critical_point": _critical_point,
}
