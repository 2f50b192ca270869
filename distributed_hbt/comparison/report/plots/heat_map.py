"""A map of languages by languages, with its numbers in the cells."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

from distributed_hbt.comparison.report.content import Cell, Table
from distributed_hbt.comparison.report.style import LINE, SURFACE

Cells = Mapping[str, Mapping[str, float]]
"""Row -> column -> value."""

_MOST_NUMBERS = 14  # columns: beyond that numbers do not fit
_ON_DARK, _ON_LIGHT = "#ffffff", "#101010"


def rows_of(maps: Sequence[Cells]) -> list[str]:
    return list(dict.fromkeys(row for cells in maps for row in cells))


def columns_of(maps: Sequence[Cells]) -> list[str]:
    return list(dict.fromkeys(column for cells in maps for row in cells.values() for column in row))


def in_per_cent(cells: Cells) -> Cells:
    return {row: {column: 100 * share for column, share in of.items()} for row, of in cells.items()}


def draw(
    axes: Axes,
    cells: Cells,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    scale: Normalize,
    colours: Colormap,
    written: Callable[[float], str],
    labels: tuple[str, str],
) -> None:
    """`labels`: what the rows and the columns are. A cell without a value stays empty."""
    values = np.array([[cells.get(row, {}).get(column, np.nan) for column in columns] for row in rows])
    edges = (np.arange(len(columns) + 1) - 0.5, np.arange(len(rows) + 1) - 0.5)
    mesh = axes.pcolormesh(
        *edges, np.ma.masked_invalid(values), cmap=colours, norm=scale, edgecolors=SURFACE, linewidth=0.8
    )
    if len(columns) <= _MOST_NUMBERS:
        _write_numbers(axes, values, scale, colours, written)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.invert_yaxis()
    axes.set_ylabel(labels[0])
    axes.set_xlabel(labels[1])
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(mesh, ax=axes, orientation="horizontal", aspect=38, pad=0.03, shrink=0.9)
    assert bar.solids is not None
    bar.solids.set(rasterized=False, edgecolor="face")
    bar.outline.set_edgecolor(LINE)


def _write_numbers(
    axes: Axes, values: np.ndarray, scale: Normalize, colours: Colormap, written: Callable[[float], str]
) -> None:
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            red, green, blue = colours(float(scale(value)))[:3]
            is_dark = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.18
            colour = _ON_DARK if is_dark else _ON_LIGHT
            axes.text(column, row, written(value), size=6.5, ha="center", va="center_baseline", color=colour)


def table(
    cells: Cells,
    rows: Sequence[str],
    columns: Sequence[str],
    caption: str,
    corner: str,
    written: Callable[[float], str],
) -> Table:
    def cell(value: float | None) -> Cell:
        return Cell("", None) if value is None else Cell(written(value), value)

    return Table(
        caption,
        (corner, *columns),
        tuple((Cell(row), *(cell(cells.get(row, {}).get(column)) for column in columns)) for row in rows),
    )
