"""What a report is made of: sections of paragraphs, tables and plots. Nothing in here draws."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

Verdict = Literal["better", "worse", "not significant"]
"""What a test says. Shown as a sign and in words: colour alone says nothing here."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell. `value`: the exact number behind `text`, for sorting and for programs. `notes`: short
    lines below it. `is_best`: set bold, and said to those who do not see that."""

    text: str
    value: float | None = None
    notes: tuple[str, ...] = ()
    is_best: bool = False
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """`headers`: how many columns at the left name the row. `explanation`: one line below the caption."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headers: int = 1
    explanation: str = ""

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds plain numbers and nothing else."""
        cells = [row[column] for row in self.rows if row[column].text]
        return any(cell.value is not None for cell in cells) and not any(
            cell.notes or cell.verdict for cell in cells
        )


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
class Finding:
    """A sentence: what it is about, and what it says of that."""

    about: str
    says: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. Its parts appear in this order."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
