"""Figures along a numbered axis, with the fitted curve and its band."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from distributed_hbt.comparison.report.content import Cell, Panel, Plot, Table
from distributed_hbt.comparison.report.style import SERIES
from distributed_hbt.studies.curve import Curve, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION = (
    "{measure}: points are runs, a seed each; the line is the curve fitted to all of them, the band its 95% "
    "interval (bootstrap of residuals)."
)


def curve_plot(
    benchmark: str,
    group: str,
    measure: str,
    axis: str,
    points: Sequence[Point],
    curve: Curve,
    *,
    logarithmic: bool,
) -> Plot:
    """`axis` is what stands below; `group`: the other values of the matrix, or nothing."""
    title = " ".join(part for part in (benchmark, group, measure.replace(":", " ")) if part)
    said = "; ".join(f"{estimate.name} {estimate.value:.4g}" for estimate in curve.estimates)
    return Plot(
        name=f"curve-{benchmark}-{group}-{measure}",
        title=f"{title} by {axis}",
        caption=_CAPTION.format(measure=measure.replace(":", " ")),
        panels=(
            Panel(
                title,
                f"{title} against {axis}: {said}.",
                partial(_draw, points, curve, axis, measure, logarithmic),
                width=3.8,
                height=2.9,
            ),
        ),
        tables=(_figures(axis, points), _parameters(curve)),
    )


def _draw(
    points: Sequence[Point], curve: Curve, axis: str, measure: str, logarithmic: bool, axes: "Axes"
) -> None:
    colour = SERIES[0]
    axes.fill_between(curve.grid, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(curve.grid, curve.fitted, color=colour, linewidth=1.8)
    for point in points:
        axes.plot(
            [point.x] * len(point.of_seeds), point.of_seeds, "o", color=colour, markersize=4, alpha=0.75
        )
    if logarithmic:
        axes.set_xscale("log", base=2)
        axes.set_xticks([point.x for point in points], [f"{point.x:g}" for point in points])
        axes.minorticks_off()
    axes.set_xlabel(axis)
    axes.set_ylabel(measure.replace(":", " "))


def _figures(axis: str, points: Sequence[Point]) -> Table:
    seeds = max(len(point.of_seeds) for point in points)
    return Table(
        f"Figures by {axis}",
        (axis, *(f"run {i + 1}" for i in range(seeds))),
        tuple(
            (
                Cell(f"{point.x:g}", point.x),
                *(Cell(f"{value:.4f}", value) for value in point.of_seeds),
                *(Cell("") for _ in range(seeds - len(point.of_seeds))),
            )
            for point in points
        ),
    )


def _parameters(curve: Curve) -> Table:
    return Table(
        "Parameters of the curve",
        ("parameter", "value", "low", "high"),
        tuple(
            (Cell(one.name), *(Cell(f"{value:.4g}", value) for value in (one.value, one.low, one.high)))
            for one in curve.estimates
        ),
        explanation=f"R² {curve.explained:.3f}; 95% intervals.",
    )
