"""What a report is made of: sections of paragraphs, tables and plots. Nothing in here draws."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell. `value`: the exact number behind `text`, for sorting and for programs. `notes`: short
    lines below it. `is_best`: set bold, and said to those who do not see that."""

    text: str
    value: float | None = None
    notes: tuple[str, ...] = ()
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """`headers`: how many columns at the left name the row. `explanation`: one line below the caption."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headers: int = 1
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes, in inches, with its text alternative. `draw` may use nothing but the axes it gets:
    it is called once for the page and once for the PNG."""

    title: str
    alternative: str
    draw: Callable[["Axes"], None]
    width: float = 3.4
    height: float = 2.9


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A name and how to make the sign that stands for it: a sign belongs to one figure alone."""

    label: str
    sign: Callable[[], "Line2D | Patch"]


@dataclass(frozen=True, slots=True)
class Plot:
    """Panels that are read together. `name` is the PNG's (lower case, hyphens), `caption` says how to read
    it, `tables` hold all that it shows."""

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    tables: tuple[Table, ...]
    legend: tuple[LegendEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. Its parts appear in this order."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = field(default=())
