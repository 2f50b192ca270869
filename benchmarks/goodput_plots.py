"""The plots of benchmarks/goodput.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8a5a9e", "#b8860b", "#555555")
DPI = 110


@dataclass(frozen=True)
class Curve:
    """Goodput of one size of cluster against the interval. `simulated` is (interval, lowest, median, highest)
    a point, `formula` (interval, goodput); intervals in hours, goodputs in percent."""

    gpus: int
    best_hours: float
    simulated: Sequence[tuple[float, float, float, float]]
    formula: Sequence[tuple[float, float]]


def draw_intervals(path: Path, curves: Sequence[Curve]) -> None:
    """Points are simulated, lines Daly's model, the vertical marks Young's optimum."""
    figure, axes = plt.subplots(figsize=(7.5, 4.4))
    for curve, colour in zip(curves, COLOURS, strict=False):
        hours, low, median, high = zip(*curve.simulated, strict=True)
        errors = [
            [m - a for m, a in zip(median, low, strict=True)],
            [b - m for m, b in zip(median, high, strict=True)],
        ]
        axes.plot(
            *zip(*curve.formula, strict=True), color=colour, linewidth=1.5, label=f"{curve.gpus:,} GPUs"
        )
        axes.errorbar(hours, median, yerr=errors, fmt="o", markersize=4, color=colour, capsize=2)
        axes.axvline(curve.best_hours, color=colour, linestyle=":", linewidth=1.5)
    axes.set_xscale("log")
    axes.set_xlabel("hours of work between checkpoints")
    axes.set_ylabel("goodput, %")
    axes.set_title("points: simulated; lines: Daly's model; dotted: sqrt(2 x cost x MTTF)", fontsize=10)
    axes.legend(frameon=False, loc="lower left")
    _save(figure, axes, path)


def draw_dealing(path: Path, ranks: Sequence[int], found: Mapping[tuple[str, str], Sequence[float]]) -> None:
    """Step time over that of equal work: balanced dealing solid, random dashed."""
    figure, axes = plt.subplots(figsize=(7.5, 4.0))
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    for (kind, dealing), values in found.items():
        style = "-" if dealing == "balanced" else "--"
        colour = COLOURS[kinds.index(kind)]
        axes.plot(ranks, values, style, marker="o", markersize=4, color=colour, label=f"{kind}, {dealing}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(ranks, [f"{rank:,}" for rank in ranks])
    axes.set_xlabel("ranks")
    axes.set_ylabel("slowest rank / mean")
    axes.legend(frameon=False)
    _save(figure, axes, path)


def draw_parts(path: Path, found: Mapping[str, Mapping[str, float]]) -> None:
    """What is not progress, a bar a cluster and dealing."""
    figure, axes = plt.subplots(figsize=(9.0, 4.2))
    names = ("straggling", "checkpointing", "lost", "restarting")
    bottoms = [0.0] * len(found)
    for name, colour in zip(names, COLOURS, strict=False):
        shares = [100 * parts[name] for parts in found.values()]
        axes.bar(list(found), shares, bottom=bottoms, color=colour, label=name, width=0.7)
        bottoms = [bottom + share for bottom, share in zip(bottoms, shares, strict=True)]
    axes.set_ylabel("of the time, %")
    axes.set_xlabel("GPUs, and how rows are dealt")
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(frameon=False, loc="upper left")
    _save(figure, axes, path)


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
