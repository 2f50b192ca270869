"""95% intervals of a benchmark's figures, over queries, as `hbt compare` has them for one run."""

from collections.abc import Sequence

from distributed_hbt.comparison.observations import Observations
from distributed_hbt.comparison.samples import Column, intervals_of

Interval = tuple[float, float]


def intervals(
    observations: Observations, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Interval]:
    """(group, measure) -> interval. Groups are those of a summary's `aggregates`: `mono`, `cross`, `multi`,
    `mean`; a figure that is no mean of these has none. A question with all its parallel versions is drawn
    at once."""
    columns: dict[tuple[str, str], Column] = {}
    for group, measure in wanted:
        tasks = [task for task in observations.tasks if task.kind == group]
        if observations.has(measure, tasks):
            columns[group, measure] = Column(*observations.contributions(tasks, measure))
    return dict(zip(columns, intervals_of(list(columns.values())), strict=True))
