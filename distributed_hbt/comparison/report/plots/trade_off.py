"""What a system gives up inside a language for what it gains across languages."""

from functools import partial

from matplotlib.axes import Axes

from distributed_hbt.comparison.comparison import BenchmarkComparison, Figure, Row
from distributed_hbt.comparison.report import numbers
from distributed_hbt.comparison.report.content import Cell, Panel, Plot, Table
from distributed_hbt.comparison.report.plots import bars
from distributed_hbt.comparison.report.rows import benchmark_name, find
from distributed_hbt.comparison.report.style import MUTED, Styles, legend_of_points

_MEASURE = "AP"


def plot(benchmark: BenchmarkComparison, styles: Styles) -> Plot | None:
    """mono against cross, and mono against multi; None without both of a pair."""
    mono = find(benchmark.summary, "mono", _MEASURE)
    others = [find(benchmark.summary, group, _MEASURE) for group in ("cross", "multi")]
    pairs = [(mono, other) for other in others if mono and other and _both(mono, other)]
    if not pairs:
        return None
    rows = dict.fromkeys(row.group for pair in pairs for row in pair)
    return Plot(
        f"{benchmark.benchmark} trade-off",
        f"{benchmark_name(benchmark.benchmark)}: inside a language and across languages",
        "A point is a system: further right is better inside a language, further up across languages. "
        "Bars are 95% intervals in both directions; the small faint points are single seeds, where there are "
        "several. The axes do not start at zero.",
        tuple(_panel(one, other, styles) for one, other in pairs),
        (_table(benchmark, tuple(rows), styles),),
        legend_of_points({name: style for name, style in styles.items() if name in _both(*pairs[0])}),
    )


def _both(one: Row, other: Row) -> list[str]:
    return [name for name in one.figures if name in other.figures]


def _panel(x: Row, y: Row, styles: Styles) -> Panel:
    said = "; ".join(
        f"{name}: {x.group} {numbers.number(x.figures[name].mean)}, "
        f"{y.group} {numbers.number(y.figures[name].mean)}"
        for name in _both(x, y)
    )
    return Panel(
        f"{x.group} and {y.group} {_MEASURE}",
        f"Scatter plot of {y.group} {_MEASURE} against {x.group} {_MEASURE}. {said}.",
        partial(_draw, x, y, styles),
        height=3.0,
    )


def _draw(x: Row, y: Row, styles: Styles, axes: Axes) -> None:
    axes.grid(True)
    for name in _both(x, y):
        style, one, other = styles[name], x.figures[name], y.figures[name]
        if len(one.of_seeds) == len(other.of_seeds) > 1:
            axes.plot(
                one.of_seeds, other.of_seeds, style.marker,
                color=style.colour, markersize=4, alpha=0.4, markeredgewidth=0,
            )  # fmt: skip
        axes.errorbar(
            [one.mean], [other.mean], xerr=bars.reach(one), yerr=bars.reach(other),
            linestyle="none", elinewidth=1.4, **style.point(),
        )  # fmt: skip
    axes.margins(0.12)
    axes.set_xlabel(f"{x.group} {_MEASURE}")
    axes.set_ylabel(f"{y.group} {_MEASURE}")
    axes.annotate(
        "better \N{NORTH EAST ARROW}", (1, 1), xytext=(-2, -2), xycoords="axes fraction",
        textcoords="offset points", ha="right", va="top", color=MUTED, size=7.5,
    )  # fmt: skip


def _table(benchmark: BenchmarkComparison, groups: tuple[str, ...], styles: Styles) -> Table:
    rows = [row for group in groups if (row := find(benchmark.summary, group, _MEASURE))]

    def cell(figure: Figure | None) -> Cell:
        if figure is None:
            return Cell("")
        notes = [numbers.interval(figure.low, figure.high, 4)]
        if len(figure.of_seeds) > 1:
            notes.append("seeds " + ", ".join(numbers.number(value, 4) for value in figure.of_seeds))
        return Cell(numbers.number(figure.mean, 4), figure.mean, tuple(note for note in notes if note))

    return Table(
        f"{_MEASURE} with 95% intervals",
        ("system", *(f"{row.group} {_MEASURE}" for row in rows)),
        tuple((Cell(name), *(cell(row.figures.get(name)) for row in rows)) for name in styles),
    )
