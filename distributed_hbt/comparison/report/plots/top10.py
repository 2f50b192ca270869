"""In which languages the best ten passages are, by query language."""

from functools import partial

from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from distributed_hbt.comparison.comparison import BenchmarkComparison
from distributed_hbt.comparison.report import numbers
from distributed_hbt.comparison.report.content import Panel, Plot
from distributed_hbt.comparison.report.plots import heat_map
from distributed_hbt.comparison.report.plots.heat_map import Cells
from distributed_hbt.comparison.report.rows import benchmark_name
from distributed_hbt.comparison.report.style import SEQUENTIAL


def plot(benchmark: BenchmarkComparison) -> Plot | None:
    """A map a system; None without the multilingual task."""
    shares = {name: cells for name, cells in benchmark.top10.items() if cells}
    if not shares:
        return None
    rows, columns = heat_map.rows_of(list(shares.values())), heat_map.columns_of(list(shares.values()))
    largest = max(share for cells in shares.values() for row in cells.values() for share in row.values())
    title = f"{benchmark_name(benchmark.benchmark)}: languages of the best ten passages"
    draw = partial(
        heat_map.draw, rows=rows, columns=columns, scale=Normalize(0, 100 * largest or 1),
        colours=SEQUENTIAL, written=_whole,
        labels=("query language", "passage language"),
    )  # fmt: skip
    return Plot(
        f"{benchmark.benchmark} top 10 languages",
        title,
        "Each row sums to 100: of the ten best passages for queries of that language, taken from the "
        "passages of all languages, how many per cent are in each language. A bright diagonal is a "
        "preference for the query's own language, a bright column one for a language whatever the query. "
        "Without bias a row follows the shares of the pool.",
        tuple(
            Panel(name, _alternative(name, cells), partial(_draw, draw, cells), width=3.4, height=3.75)
            for name, cells in shares.items()
        ),
        tuple(
            heat_map.table(
                cells, rows, columns, f"{name}: languages of the best ten", "query language", numbers.percent
            )
            for name, cells in shares.items()
        ),
    )


def _draw(draw: "partial[None]", cells: Cells, axes: Axes) -> None:
    draw(axes, heat_map.in_per_cent(cells))


def _whole(per_cent: float) -> str:
    return f"{per_cent:.0f}"


def _alternative(name: str, cells: Cells) -> str:
    own = [row.get(language, 0.0) for language, row in cells.items()]
    return (
        f"Heat map of {name}: shares of passage languages among the best ten. On average "
        f"{numbers.percent(sum(own) / len(own))} are in the query's own language. All are in the table below."
    )
