"""What runs were trained on: kinds of batches and languages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Patch

from distributed_hbt.comparison.comparison import TrainingLog
from distributed_hbt.comparison.report import numbers
from distributed_hbt.comparison.report.content import Cell, LegendEntry, Panel, Plot, Table
from distributed_hbt.comparison.report.plots import heat_map
from distributed_hbt.comparison.report.style import SEQUENTIAL, SERIES, SURFACE, Styles

_HATCHES = ("", "////", "||||", "xxxx")
Counts = Mapping[str, Mapping[str, int]]
"""System -> kind or language -> steps."""


def kinds(logs: Sequence[TrainingLog], styles: Styles) -> Plot | None:
    """Shares of batch kinds by system; None where they are not known."""
    counts = _by_system({name: [log.kinds for log in logs if log.system == name] for name in styles})
    if not counts:
        return None
    names = list(dict.fromkeys(kind for of_system in counts.values() for kind in of_system))
    said = "; ".join(
        f"{name} {', '.join(f'{numbers.percent(c / sum(of.values()))} {kind}' for kind, c in of.items())}"
        for name, of in counts.items()
    )
    return Plot(
        "batch kinds",
        "Kinds of batches",
        "A bar is a system, over all its runs: which share of its steps had a batch of each kind.",
        (
            Panel(
                "share of steps by kind of batch",
                f"Stacked bars: {said}.",
                partial(_draw_kinds, counts, names),
                height=0.8 + 0.3 * len(counts),
            ),
        ),
        (_table(counts, names, "Steps by kind of batch"),),
        tuple(LegendEntry(kind, partial(Patch, **_look(index))) for index, kind in enumerate(names)),
    )


def languages(logs: Sequence[TrainingLog], styles: Styles) -> Plot | None:
    """In which share of steps each language took part, by system; None where it is not known."""
    counts = _by_system({name: [log.languages for log in logs if log.system == name] for name in styles})
    steps = {name: sum(len(log.steps) for log in logs if log.system == name) for name in counts}
    if not counts:
        return None
    names = sorted({language for of_system in counts.values() for language in of_system})
    shares = {
        language: {name: of[language] / steps[name] for name, of in counts.items() if language in of}
        for language in names
    }
    return Plot(
        "training languages",
        "Languages in training",
        "The share of steps in which a language took part, as a query's or a passage's; in batches that mix "
        "languages several take part in one step, so a column need not sum to 100. An empty cell: the "
        "language never took part.",
        (
            Panel(
                "per cent of steps",
                f"Heat map of {len(names)} languages by {len(counts)} systems; all are in the table below.",
                partial(_draw_languages, shares, names, list(counts)),
                height=1.2 + 0.22 * len(names),
            ),
        ),
        (_table(counts, names, "Steps in which a language took part"),),
    )


def _by_system(found: Mapping[str, Sequence[Mapping[str, int]]]) -> dict[str, Counter[str]]:
    totals = {name: sum((Counter(of_run) for of_run in runs), Counter[str]()) for name, runs in found.items()}
    return {name: total for name, total in totals.items() if total}


def _look(index: int) -> dict[str, Any]:
    """Colours from the other end: the first are the systems'."""
    colour, hatch = SERIES[-1 - index % len(SERIES)], _HATCHES[index % len(_HATCHES)]
    return {"facecolor": colour, "hatch": hatch, "edgecolor": SURFACE}


def _draw_kinds(counts: Counts, names: Sequence[str], axes: Axes) -> None:
    for place, of_system in enumerate(counts.values()):
        left = 0.0
        for index, kind in enumerate(names):
            share = 100 * of_system.get(kind, 0) / sum(of_system.values())
            axes.barh(place, share, left=left, height=0.62, linewidth=0.6, **_look(index))
            left += share
    axes.set_yticks(range(len(counts)), [numbers.short(name, 18) for name in counts])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("% of steps")


def _draw_languages(shares: heat_map.Cells, names: Sequence[str], systems: Sequence[str], axes: Axes) -> None:
    shares = heat_map.in_per_cent(shares)
    largest = max(share for row in shares.values() for share in row.values())
    heat_map.draw(
        axes, shares, names, systems, scale=Normalize(0, largest), colours=SEQUENTIAL,
        written=lambda share: f"{share:.0f}", labels=("language", ""),
    )  # fmt: skip
    axes.set_xticks(range(len(systems)), [numbers.short(name, 12) for name in systems])


def _table(counts: Counts, names: Sequence[str], caption: str) -> Table:
    return Table(
        caption,
        ("system", *names),
        tuple(
            (Cell(name), *(Cell(numbers.count(of.get(each, 0)), of.get(each, 0)) for each in names))
            for name, of in counts.items()
        ),
    )
