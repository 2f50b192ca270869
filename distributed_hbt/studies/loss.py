"""The loss that each system of a study ended with, beside what guessing would have."""

import math
from collections.abc import Sequence
from statistics import fmean

from distributed_hbt.comparison.comparison import TrainingLog
from distributed_hbt.comparison.report.content import Cell, Section, Table
from distributed_hbt.studies.curve import Point
from distributed_hbt.studies.curve_plot import points_plot
from distributed_hbt.studies.plan import StudyPlan

_LABEL = "final loss / loss of guessing"
_SHARE = 10  # the last tenth of the steps


def losses_of(plan: StudyPlan, logs: Sequence[TrainingLog], axis: str | None) -> Section:
    """A line a system; with a numbered axis, named `axis`, a plot along it for each of the other values.

    A contrastive loss grows with its negatives: guessing among n columns has the loss ln n. Divided by that,
    losses of different batches can be read side by side.
    """
    table = Table(
        "Loss by system, mean over the last tenth of the steps and over seeds",
        ("system", "final loss", "of the loss of guessing"),
        tuple(_row(system, [log for log in logs if log.system == system]) for system in plan.systems),
        explanation="1 is what guessing among the passages of a batch would have (its loss is ln n).",
    )
    plots = () if axis is None else tuple(
        points_plot(f"loss {group}".strip(), axis, _LABEL, points, logarithmic=min(p.x for p in points) > 0)
        for group, points in _points(plan, logs).items()
    )  # fmt: skip
    return Section(heading="Training loss", tables=(table,), plots=plots)


def final_loss(log: TrainingLog) -> tuple[float, float]:
    """Mean over the last tenth of a run's steps: of the loss, and of the loss over that of guessing."""
    last = max(1, len(log.steps) // _SHARE)
    pairs = [
        None if loss is None else (loss, loss / math.log(1 + negatives))
        for loss, negatives in zip(log.loss, log.num_negatives, strict=True)
    ]
    there = [pair for pair in pairs if pair is not None]
    ends = [pair for pair in pairs[-last:] if pair is not None] or there[-1:]  # the last ones were skipped
    return fmean(loss for loss, _ in ends), fmean(share for _, share in ends)


def _row(system: str, logs: Sequence[TrainingLog]) -> tuple[Cell, ...]:
    losses, shares = zip(*(final_loss(log) for log in logs), strict=True)
    loss, share = fmean(losses), fmean(shares)
    return (Cell(system), Cell(f"{loss:.4f}", loss), Cell(f"{share:.3f}", share))


def _points(plan: StudyPlan, logs: Sequence[TrainingLog]) -> dict[str, list[Point]]:
    groups: dict[str, list[Point]] = {}
    for system in plan.systems:
        run = plan.of_system(system)[0]
        assert run.number is not None, "the axis has numbers"
        shares = tuple(final_loss(log)[1] for log in logs if log.system == system)
        groups.setdefault(run.group, []).append(Point(run.number, shares))
    return {group: sorted(points, key=lambda point: point.x) for group, points in groups.items()}
