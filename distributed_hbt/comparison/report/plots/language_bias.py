"""How unevenly systems rank answers that say the same in different languages."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes

from distributed_hbt.comparison.comparison import BenchmarkComparison, Row
from distributed_hbt.comparison.report import numbers, tables
from distributed_hbt.comparison.report.content import Panel, Plot
from distributed_hbt.comparison.report.plots import bars
from distributed_hbt.comparison.report.rows import benchmark_name, marked, measure_name, row_name
from distributed_hbt.comparison.report.style import Styles

_READ = {
    "rank distance": "Rank distance: how far apart the best and the worst ranked of the answers lie that say "
    "the same in every language; 0 is no bias.",
    "PEER": "PEER: how likely ranks that do not depend on the language would look like these; 1 is fair.",
    "Max@R": "Max@R: the worst rank that has to be read to have the answers of all languages.",
    "MRC": "MRC: how alike the rankings are that the same question gives in different languages; 1 is alike.",
}

_SHARES = ("PEER",)  # of which all but nothing is near 0, and only the whole range says so


def plot(benchmark: BenchmarkComparison, styles: Styles, baseline: str | None) -> Plot | None:
    """A panel a measure, over all languages; None without any."""
    rows = [row for row in benchmark.language_bias if row.language is None and row.figures]
    if not rows:
        return None
    title = f"{benchmark_name(benchmark.benchmark)}: language bias"
    read = [text for measure, text in _READ.items() if any(measure in row_name(row) for row in rows)]
    parts = [tables.figures(rows, list(styles), baseline, f"{title}, figures")]
    tested = tables.differences(rows, f"{title}, differences")
    marks = [bars.about_marks(baseline)] if tested else []
    return Plot(
        f"{benchmark.benchmark} language bias",
        title,
        " ".join(("A bar is a system, the thin line its 95% interval where it is known.", *read, *marks)),
        tuple(_panel(row, styles, baseline) for row in rows),
        (*parts, *([tested] if tested else [])),
    )


def _panel(row: Row, styles: Styles, baseline: str | None) -> Panel:
    label = f"{row_name(row)} ({'higher' if row.higher_is_better else 'lower'} is better)"
    present = [name for name in styles if name in row.figures]
    said = "; ".join(
        f"{name} {numbers.figure(row.figures[name].mean, tables.decimals(row))}" for name in present
    )
    return Panel(
        label,
        f"Bars of {label}. {said}.",
        partial(_draw, row, styles, baseline, label),
        height=0.8 + 0.3 * len(present),
    )


def _draw(row: Row, styles: Styles, baseline: str | None, label: str, axes: Axes) -> None:
    marks = marked(row, baseline)
    present = {name: style for name, style in styles.items() if name in row.figures}
    groups: Sequence[bars.Bars] = [
        bars.Bars(name, {name: figure}, marks & {name}, numbers.figure(figure.mean, tables.decimals(row)))
        for name in present
        if (figure := row.figures[name])
    ]
    bars.draw_single(axes, groups, present, label)
    if measure_name(row.measure) in _SHARES:
        axes.set_xlim(0, 1.3)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
