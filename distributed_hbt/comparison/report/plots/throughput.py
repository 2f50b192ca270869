"""How fast training went."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from distributed_hbt.comparison.comparison import Figure, TrainingLog
from distributed_hbt.comparison.report import numbers
from distributed_hbt.comparison.report.content import Cell, Panel, Plot, Table
from distributed_hbt.comparison.report.plots import bars
from distributed_hbt.comparison.report.style import Styles


def plot(logs: Sequence[TrainingLog], styles: Styles) -> Plot | None:
    """A bar a run; None where no step has a throughput."""
    speeds = [(log, _spread(log)) for log in logs if any(v is not None for v in log.tokens_per_second)]
    if not speeds:
        return None
    said = "; ".join(f"{log.run} {_written(speed.mean)}" for log, speed in speeds)
    return Plot(
        "throughput",
        "Throughput",
        "A bar is the median step of a run, the thin line runs from its 10th to its 90th percentile. Runs "
        "can be compared where they had the same machine.",
        (
            Panel(
                "tokens per second",
                f"Bars of tokens per second, median by run. {said}.",
                partial(_draw, speeds, styles),
                height=0.8 + 0.24 * len(speeds),
            ),
        ),
        (
            Table(
                "Tokens per second by run",
                ("run", "system", "median", "10th percentile", "90th percentile"),
                tuple(
                    (Cell(log.run), Cell(log.system),
                     *(Cell(_written(v), v) for v in (speed.mean, speed.low or 0.0, speed.high or 0.0)))
                    for log, speed in speeds
                ),
            ),
        ),
    )  # fmt: skip


def _spread(log: TrainingLog) -> Figure:
    """The median, with the range of most steps as its interval."""
    values = [value for value in log.tokens_per_second if value is not None]
    low, middle, high = (float(value) for value in np.percentile(values, (10, 50, 90)))
    return Figure(middle, low, high, (), 0)


def _written(value: float) -> str:
    return numbers.count(round(value))


def _draw(speeds: Sequence[tuple[TrainingLog, Figure]], styles: Styles, axes: Axes) -> None:
    groups = [bars.Bars(log.run, {log.system: speed}, written=_written(speed.mean)) for log, speed in speeds]
    bars.draw_single(axes, groups, styles, "tokens per second")
