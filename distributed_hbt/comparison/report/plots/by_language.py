"""Figures by query language."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes

from distributed_hbt.comparison.comparison import Row
from distributed_hbt.comparison.report import numbers, tables
from distributed_hbt.comparison.report.content import Panel, Plot
from distributed_hbt.comparison.report.plots import bars
from distributed_hbt.comparison.report.rows import by_measure, marked, row_name
from distributed_hbt.comparison.report.style import Styles, legend_of_bars


def plot(rows: Sequence[Row], styles: Styles, baseline: str | None, *, name: str, title: str) -> Plot | None:
    """A panel a measure; None without rows that have a language."""
    rows = [row for row in rows if row.language and row.figures]
    if not rows:
        return None
    present = {s: style for s, style in styles.items() if any(s in row.figures for row in rows)}
    caption = "A bar is a system's mean over the queries of one language; the thin line is its 95% interval."
    parts = [tables.figures(rows, list(present), baseline, f"{title}: figures")]
    tested = tables.differences(rows, f"{title}: differences")
    if tested:
        caption = f"{caption} {bars.about_marks(baseline)}"
        parts.append(tested)
    return Plot(
        name,
        title,
        caption,
        tuple(_panel(found, present, baseline) for found in by_measure(rows).values()),
        tuple(parts),
        legend_of_bars(present),
    )


def _panel(rows: Sequence[Row], styles: Styles, baseline: str | None) -> Panel:
    label = row_name(rows[0])
    if not rows[0].higher_is_better:
        label += " (lower is better)"
    groups = [bars.Bars(row.language or "", row.figures, marked(row, baseline)) for row in rows]
    return Panel(
        label,
        _alternative(label, rows, styles, baseline),
        partial(_draw, groups, styles, label),
        height=bars.height(len(groups), len(styles)),
    )


def _draw(groups: Sequence[bars.Bars], styles: Styles, label: str, axes: Axes) -> None:
    bars.draw(axes, groups, styles, label)


def _alternative(label: str, rows: Sequence[Row], styles: Styles, baseline: str | None) -> str:
    said = []
    for name in styles:
        values = {row.language: row.figures[name].mean for row in rows if name in row.figures}
        if values:
            low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
            count = sum(name in marked(row, baseline) for row in rows)
            said.append(
                f"{name}: from {numbers.number(values[low])} ({low}) to "
                f"{numbers.number(values[high])} ({high}), marked in {count}"
            )
    return f"Bars of {label} in {len(rows)} languages. {'; '.join(said)}."
