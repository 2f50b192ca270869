"""From values per query to the few figures of a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributed_hbt.evaluation.language_bias import RANK_DISTANCE
from distributed_hbt.evaluation.measures import TASK_MEASURES, Values, mean
from distributed_hbt.evaluation.tasks import Task


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task's values: measure -> query_id -> value."""

    task: Task
    values: Values

    @property
    def num_queries(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def means(self) -> dict[str, float]:
        return {measure: mean(of_query.values()) for measure, of_query in self.values.items()}


def aggregates(results: Sequence[TaskResult]) -> dict[str, float | Mapping[str, float]]:
    """Macro means over the tasks of each kind, the pooled mean and the rank distance.

    `mono`, `cross`, `multi`: the mean over tasks of each measure (arXiv 2408.10536). `pool`: the mean AP
    over all questions of the multilingual tasks (LAReQA). `rank_distance`: the mean over query languages
    of the mean over queries. A kind without tasks is left out.
    """
    found: dict[str, float | Mapping[str, float]] = {}
    for kind in ("mono", "cross", "multi"):
        of_kind = [result.means for result in results if result.task.kind == kind]
        if of_kind:
            found[kind] = {name: mean(means[name] for means in of_kind) for name in TASK_MEASURES}
    multi = [result for result in results if result.task.kind == "multi"]
    if multi:
        found["pool"] = {"AP": mean(value for result in multi for value in result.values["AP"].values())}
        found["rank_distance"] = mean(result.means[RANK_DISTANCE] for result in multi)
    return found
