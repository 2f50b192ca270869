"""What counts as growth in benchmarks/soak.py, and its plot."""

import itertools
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from scipy.stats import theilslopes

_ALLOWED = {"rss_mb": (0.03, 4.0), "files": (0.05, 2.0), "threads": (0.05, 2.0)}
"""Measure -> what it may grow over the second half: this share of its level, or else this much."""
_FEWEST = 20
_COLOURS = ("#1b6ca8", "#c8553d", "#3a7d44", "#8a5a9e", "#b8860b", "#555555", "#008b8b")


class Sample(NamedTuple):
    """A process at one moment; `step` is the last one that was logged."""

    seconds: float
    step: int
    process: str
    rss_mb: float
    files: int
    threads: int


@dataclass(frozen=True)
class Growth:
    """Of one measure of one process over the second half of the training: the median `level`, and `growth`,
    the slope of Theil and Sen (a median of slopes, which single peaks do not move) times that time."""

    process: str
    measure: str
    level: float
    growth: float

    @property
    def grows(self) -> bool:
        share, least = _ALLOWED[self.measure]
        return self.growth > max(share * self.level, least)


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Of every process that was there throughout the second half of the steps. Raises ValueError where there
    are too few samples to say anything."""
    last = max(sample.step for sample in samples)
    second = [sample for sample in samples if last / 2 <= sample.step < last]
    of_process: dict[str, list[Sample]] = {}
    for sample in second:
        of_process.setdefault(sample.process, []).append(sample)
    longest = max(map(len, of_process.values()), default=0)
    if longest < _FEWEST:
        raise ValueError(f"{longest} looks at the second half are too few; take more steps")
    return [
        _growth(name, measure, of)
        for name, of in sorted(of_process.items())
        if len(of) > 0.9 * longest
        for measure in _ALLOWED
    ]


def _growth(process: str, measure: str, samples: Sequence[Sample]) -> Growth:
    seconds = [sample.seconds for sample in samples]
    values = [float(getattr(sample, measure)) for sample in samples]
    slope = float(theilslopes(values, seconds).slope)
    return Growth(process, measure, statistics.median(values), slope * (seconds[-1] - seconds[0]))


def table(found: Sequence[Growth]) -> str:
    """Markdown: a line a process; level, and growth over the second half."""
    lines = ["| process | memory, MB | open files | threads |", "|---|---|---|---|"]
    for process in dict.fromkeys(growth.process for growth in found):
        cells = [
            f"{one.level:,.0f} ({one.growth:+.1f}){' GROWS' if one.grows else ''}"
            for one in found
            if one.process == process
        ]
        lines.append(f"| {process} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(path: Path, samples: Sequence[Sample]) -> None:
    """Memory, open files and threads of every lasting process over time."""
    figure, axes = plt.subplots(3, 1, figsize=(7.5, 7.5), sharex=True)
    looks = Counter(sample.process for sample in samples)  # a process of a second is none of the run's
    names = [name for name in looks if looks[name] >= _FEWEST]
    for row, (measure, title) in enumerate(
        [("rss_mb", "resident memory, MB"), ("files", "open files"), ("threads", "threads")]
    ):
        for name, colour in zip(names, itertools.cycle(_COLOURS), strict=False):
            of = [sample for sample in samples if sample.process == name]
            values = [getattr(sample, measure) for sample in of]
            axes[row].plot([s.seconds for s in of], values, color=colour, linewidth=1.2, label=name)
        axes[row].set_ylabel(title)
        axes[row].set_ylim(bottom=0)
        axes[row].spines[["top", "right"]].set_visible(False)
    axes[2].set_xlabel("seconds")
    axes[0].legend(frameon=False, ncols=3, fontsize=8, loc="upper left", bbox_to_anchor=(0, 1.25))
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)
