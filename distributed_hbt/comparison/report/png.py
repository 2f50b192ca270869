"""A plot as one picture that stands alone: all panels, with title and legend."""

import textwrap
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure

from distributed_hbt.comparison.report.content import Plot
from distributed_hbt.comparison.report.numbers import short
from distributed_hbt.comparison.report.style import SURFACE, drawing

_MOST_COLUMNS = 3
_DPI = 160
_TITLE_LINE, _PANEL_TITLE, _LEGEND_LINE = 0.24, 0.25, 0.3  # inches high
_LETTERS_PER_INCH = 10  # of a title
_SHORTEST = 34  # of names in titles and legends, in letters


def write_png(plot: Plot, path: Path) -> None:
    """Panels stand three abreast at most."""
    columns = min(_MOST_COLUMNS, len(plot.panels))
    lines = [plot.panels[start : start + columns] for start in range(0, len(plot.panels), columns)]
    heights = [max(panel.height for panel in line) + _PANEL_TITLE for line in lines]
    widths = [max(line[place].width for line in lines if place < len(line)) for place in range(columns)]
    title = textwrap.wrap(plot.title, int(sum(widths) * _LETTERS_PER_INCH))
    heights = [0.2 + _TITLE_LINE * len(title), *heights]
    if plot.legend:
        heights.append(0.1 + _LEGEND_LINE * -(-len(plot.legend) // columns))
    with drawing():
        figure = Figure(figsize=(sum(widths), sum(heights)), facecolor=SURFACE, layout="constrained")
        parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
        parts[0].text(0.1 / sum(widths), 0.5, "\n".join(title), size=12, weight="bold", va="center")
        for part, line in zip(parts[1:], lines, strict=False):
            cells = part.subfigures(1, columns, width_ratios=widths, squeeze=False)[0]
            for cell, panel in zip(cells, line, strict=False):
                axes = cell.add_subplot()
                panel.draw(axes)
                axes.set_title(short(panel.title, _SHORTEST))
        if plot.legend:
            _draw_legend(plot, parts[-1], columns)
        FigureCanvasAgg(figure).print_figure(path, dpi=_DPI, format="png", metadata={"Software": None})


def _draw_legend(plot: Plot, part: SubFigure, columns: int) -> None:
    part.legend(
        handles=[entry.sign() for entry in plot.legend],
        labels=[short(entry.label, _SHORTEST) for entry in plot.legend],
        loc="center",
        ncols=columns,
        handlelength=2.4,
    )
