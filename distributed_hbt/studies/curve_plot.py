"""Figures along a numbered axis, with the fitted curve and its band."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

from distributed_hbt.comparison.report.content import Cell, Panel, Plot, Table
from distributed_hbt.comparison.report.style import SERIES
from distributed_hbt.studies.curve import Curve, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = "points are runs, a seed each"


def curve_plot(
    title: str, axis: str, label: str, points: Sequence[Point], curve: Curve, *, logarithmic: bool
) -> Plot:
    """`axis` and `label` are what stands below and beside."""
    said = "; ".join(f"{estimate.name} {estimate.value:.4g}" for estimate in curve.estimates)
    plain = points_plot(title, axis, label, points, logarithmic=logarithmic)
    panel = replace(
        plain.panels[0],
        alternative=f"{title} against {axis}: {said}.",
        draw=partial(_draw, points, curve, axis, label, logarithmic),
    )
    return replace(
        plain,
        name=f"curve-{title}",
        caption=f"{label}: {_POINTS}; the line is the curve fitted to all of them, the band its 95% interval "
        "(bootstrap of residuals).",
        panels=(panel,),
        tables=(*plain.tables, _parameters(curve)),
    )


def points_plot(title: str, axis: str, label: str, points: Sequence[Point], *, logarithmic: bool) -> Plot:
    """The figures alone."""
    said = "; ".join(f"{fmean(point.of_seeds):.4g} at {point.x:g}" for point in points)
    return Plot(
        name=title,
        title=f"{title} by {axis}",
        caption=f"{label}: {_POINTS}.",
        panels=(
            Panel(
                title,
                f"{title} against {axis}, means: {said}.",
                partial(_draw, points, None, axis, label, logarithmic),
                width=3.8,
                height=2.9,
            ),
        ),
        tables=(_figures(axis, points),),
    )


def _draw(
    points: Sequence[Point], curve: Curve | None, axis: str, label: str, logarithmic: bool, axes: "Axes"
) -> None:
    colour = SERIES[0]
    if curve is not None:
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
    axes.set_ylabel(label)


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
