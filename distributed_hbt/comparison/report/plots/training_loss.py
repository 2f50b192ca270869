"""The loss by step."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from distributed_hbt.comparison.comparison import TrainingLog
from distributed_hbt.comparison.report import numbers
from distributed_hbt.comparison.report.content import Cell, Panel, Plot, Table
from distributed_hbt.comparison.report.style import Styles, legend_of_curves

_MOST_POINTS = 300
_WINDOWS = 20  # a smoothed point is the mean over this part of the run
_SHOWN = 10  # points of a run in the table


def plot(logs: Sequence[TrainingLog], styles: Styles) -> Plot | None:
    """A curve a run; None without any loss."""
    curves = [(log, *curve(log.steps, log.loss)) for log in logs]
    curves = [(log, steps, loss) for log, steps, loss in curves if len(steps)]
    if not curves:
        return None
    present = {name: style for name, style in styles.items() if any(log.system == name for log, *_ in curves)}
    return Plot(
        "training loss",
        "Training loss",
        "A line is a run, smoothed over a twentieth of its steps; runs of a system share colour and dashes. "
        "The faint lines are the loss as it was. Systems that draw other batches have other negatives: "
        "their losses say how training went, and can not be set beside each other.",
        (
            Panel(
                "loss by step", _alternative(curves), partial(_draw, curves, present), width=3.8, height=2.9
            ),
        ),
        (_table(curves),),
        legend_of_curves(present),
    )


Curves = Sequence[tuple[TrainingLog, np.ndarray, np.ndarray]]


def curve(steps: Sequence[int], values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """Steps that have a value, as at most some hundred points: means of neighbours."""
    there = [(step, value) for step, value in zip(steps, values, strict=True) if value is not None]
    size = -(-len(there) // _MOST_POINTS) or 1
    parts = [np.mean(there[start : start + size], axis=0) for start in range(0, len(there), size)]
    found = np.array(parts).reshape(-1, 2)
    return found[:, 0], found[:, 1]


def smoothed(values: np.ndarray) -> np.ndarray:
    """Mean over a centred window, cut off at the ends."""
    reach = len(values) // _WINDOWS // 2
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(0, index - reach), np.minimum(len(values), index + reach + 1)
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _draw(curves: Curves, styles: Styles, axes: Axes) -> None:
    for log, steps, loss in curves:
        axes.plot(steps, loss, color=styles[log.system].colour, linewidth=0.5, alpha=0.28)
    for log, steps, loss in curves:
        axes.plot(steps, smoothed(loss), linewidth=1.4, **styles[log.system].curve())
    axes.grid(True, axis="y")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")


def _table(curves: Curves) -> Table:
    lines = []
    for log, steps, loss in curves:
        smooth = smoothed(loss)
        for i in sorted({round(i) for i in np.linspace(0, len(steps) - 1, _SHOWN)}):
            step, value = float(steps[i]), float(smooth[i])
            lines.append(
                (Cell(log.run), Cell(log.system), Cell(numbers.count(round(step)), step),
                 Cell(numbers.number(value, 4), value))
            )  # fmt: skip
    return Table("Training loss, smoothed", ("run", "system", "step", "loss"), tuple(lines))


def _alternative(curves: Curves) -> str:
    ends = [(log.run, smoothed(loss)) for log, _, loss in curves]
    said = "; ".join(
        f"{run} from {numbers.number(float(loss[0]), 3)} to {numbers.number(float(loss[-1]), 3)}"
        for run, loss in ends
    )
    return f"Curves of the smoothed training loss by step. {said}."
