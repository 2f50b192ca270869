"""Query language by passage language: a map per system, and its difference to the baseline."""

from collections.abc import Mapping
from functools import partial

from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from distributed_hbt.comparison.report import numbers
from distributed_hbt.comparison.report.content import Panel, Plot
from distributed_hbt.comparison.report.plots import heat_map
from distributed_hbt.comparison.report.plots.heat_map import Cells
from distributed_hbt.comparison.report.rows import benchmark_name
from distributed_hbt.comparison.report.style import DIVERGING, SEQUENTIAL

_CORNER = "query language"
_LABELS = ("query language", "passage language")
_SIZE = {"width": 3.4, "height": 3.75}


def maps(benchmark: str, cells: Mapping[str, Cells]) -> Plot | None:
    """AP of every pair of languages; None without such tasks."""
    if not any(cells.values()):
        return None
    rows, columns = heat_map.rows_of(list(cells.values())), heat_map.columns_of(list(cells.values()))
    values = [value for system in cells.values() for row in system.values() for value in row.values()]
    scale, colours = Normalize(0, max(values) or 1), SEQUENTIAL
    draw = partial(
        heat_map.draw, rows=rows, columns=columns, scale=scale, colours=colours,
        written=_two_digits, labels=_LABELS,
    )  # fmt: skip
    return Plot(
        f"{benchmark} cells",
        f"{benchmark_name(benchmark)}: AP by query and passage language",
        "A row is the language of the queries, a column that of the passages; the number is the mean AP "
        "(.79 is 0.79). The diagonal is the monolingual task, the rest the cross-lingual one. All maps share "
        "one scale: the lighter, the better.",
        tuple(
            Panel(name, _alternative(name, system), partial(_draw, draw, system), **_SIZE)
            for name, system in cells.items()
        ),
        tuple(
            heat_map.table(system, rows, columns, f"{name}: AP by query and passage language", _CORNER, _full)
            for name, system in cells.items()
        ),
    )


def differences(benchmark: str, cells: Mapping[str, Cells], baseline: str | None) -> Plot | None:
    """Every other system minus the baseline (without one: the first); None with fewer than two."""
    reference = baseline or next(iter(cells), "")
    others = [name for name in cells if name != reference]
    if not cells.get(reference) or not others:
        return None
    changes = {name: _minus(cells[name], cells[reference]) for name in others}
    rows, columns = heat_map.rows_of(list(changes.values())), heat_map.columns_of(list(changes.values()))
    largest = max((abs(v) for c in changes.values() for row in c.values() for v in row.values()), default=0)
    draw = partial(
        heat_map.draw, rows=rows, columns=columns, scale=Normalize(-(largest or 1), largest or 1),
        colours=DIVERGING, written=_two_signed_digits, labels=_LABELS,
    )  # fmt: skip
    return Plot(
        f"{benchmark} cells difference",
        f"{benchmark_name(benchmark)}: AP by language pair, compared with {reference}",
        f"AP minus that of {reference}, for the same languages. Blue and a plus: better than {reference}; "
        "orange and a minus: worse; grey: no difference. The scale is symmetric and the same in all maps. "
        "Single cells are not tested: small differences may be chance.",
        tuple(
            Panel(
                f"{name} {numbers.MINUS} {reference}",
                _alternative_of_difference(name, reference, changes[name]),
                partial(_draw, draw, changes[name]),
                **_SIZE,
            )
            for name in others
        ),
        tuple(
            heat_map.table(
                changes[name], rows, columns, f"AP of {name} minus that of {reference}", _CORNER, _full_signed
            )
            for name in others
        ),
    )


def _draw(draw: "partial[None]", cells: Cells, axes: Axes) -> None:
    draw(axes, cells)


def _minus(one: Cells, other: Cells) -> dict[str, dict[str, float]]:
    return {
        row: {column: value - other[row][column] for column, value in values.items() if column in other[row]}
        for row, values in one.items()
        if row in other
    }


def _alternative(name: str, cells: Cells) -> str:
    pairs = {(row, column): value for row, values in cells.items() for column, value in values.items()}
    if not pairs:
        return f"Heat map of {name}: no figures."
    low, high = min(pairs, key=pairs.__getitem__), max(pairs, key=pairs.__getitem__)
    return (
        f"Heat map of the AP of {name} for {len(pairs)} pairs of languages. "
        f"Highest: {_full(pairs[high])}, queries in {high[0]}, passages in {high[1]}. "
        f"Lowest: {_full(pairs[low])}, queries in {low[0]}, passages in {low[1]}. All are in the table below."
    )


def _alternative_of_difference(name: str, reference: str, cells: Cells) -> str:
    values = [value for row in cells.values() for value in row.values()]
    better = sum(value > 0 for value in values)
    return (
        f"Heat map of the AP of {name} minus that of {reference}: higher in {better} of {len(values)} "
        f"pairs of languages, from {_full_signed(min(values, default=0))} to "
        f"{_full_signed(max(values, default=0))}. All are in the table below."
    )


def _full(value: float) -> str:
    return numbers.number(value, 4)


def _full_signed(value: float) -> str:
    return numbers.signed(value, 4)


def _two_digits(value: float) -> str:
    return numbers.number(value, 2).removeprefix("0")


def _two_signed_digits(value: float) -> str:
    text = numbers.number(abs(value), 2)
    if float(text) == 0:
        return "0"
    return (numbers.MINUS if value < 0 else "+") + text.removeprefix("0")
