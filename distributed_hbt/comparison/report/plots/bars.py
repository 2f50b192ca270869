"""Horizontal bars with intervals: labels at the left, a bar a system under each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from distributed_hbt.comparison.comparison import Figure
from distributed_hbt.comparison.report.numbers import short
from distributed_hbt.comparison.report.style import INK, Styles, SystemStyle

MARK = "*"
_BAR_INCHES = 0.115
_ROOM = 0.8  # of a label's line: what its bars fill


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of one label: figures by system, the systems that get a mark, and what is written at the end
    of a bar that stands alone."""

    label: str
    figures: Mapping[str, Figure]
    marked: Collection[str] = ()
    written: str = ""


def height(labels: int, bars: int) -> float:
    """In inches, of a panel with so many bars at every label."""
    return 0.7 + labels * max(0.2, bars * _BAR_INCHES / _ROOM)


def about_marks(baseline: str | None) -> str:
    """What the mark means, for captions."""
    against = baseline or "every other system"
    return f"An asterisk marks a significant difference from {against} (after Holm's correction)."


def reach(figure: Figure) -> list[list[float]] | None:
    """How far the interval goes below and above the mean, as matplotlib wants it."""
    if figure.low is None or figure.high is None:
        return None
    return [[max(0.0, figure.mean - figure.low)], [max(0.0, figure.high - figure.mean)]]


def draw(axes: Axes, groups: Sequence[Bars], styles: Styles, label: str) -> None:
    """`label`: what the bars measure."""
    present = [name for name in styles if any(name in group.figures for group in groups)]
    size = _ROOM / len(present)
    for place, group in enumerate(groups):
        for index, name in enumerate(present):
            if name in group.figures:
                middle = place - _ROOM / 2 + (index + 0.5) * size
                _bar(axes, middle, size, group.figures[name], styles[name])
                if name in group.marked:
                    _write(axes, middle, group.figures[name], MARK, raised=1.5)
    _finish(axes, groups, label, room=0.08)


def _finish(axes: Axes, groups: Sequence[Bars], label: str, room: float) -> None:
    """`room`: right of the longest bar, as a share of it."""
    axes.set_yticks(range(len(groups)), [short(group.label, 18) for group in groups])
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.margins(x=room)
    axes.set_xlim(left=min(0.0, axes.get_xlim()[0]) if axes.dataLim.x0 < 0 else 0.0)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)


def _bar(axes: Axes, middle: float, size: float, figure: Figure, style: SystemStyle) -> None:
    axes.barh(middle, figure.mean, height=size, **style.bar())
    lengths = reach(figure)
    if lengths:
        axes.errorbar(figure.mean, middle, xerr=lengths, color=INK, linestyle="none", elinewidth=0.9)


def _write(axes: Axes, middle: float, figure: Figure, text: str, raised: float = 0.0) -> None:
    """Beside the end of a bar, and of its interval. An asterisk sits high: `raised` points lower it."""
    end = figure.mean if figure.high is None else figure.high
    axes.annotate(
        text, (end, middle), xytext=(3, -raised), textcoords="offset points", va="center", size=8, color=INK
    )


def draw_single(axes: Axes, groups: Sequence[Bars], styles: Styles, label: str) -> None:
    """One bar a label: each system on a line of its own, with its number."""
    for place, group in enumerate(groups):
        for name, figure in group.figures.items():
            _bar(axes, place, 0.62, figure, styles[name])
            mark = f" {MARK}" if name in group.marked else ""
            _write(axes, place, figure, f"{group.written}{mark}")
    _finish(axes, groups, label, room=0.32)
