"""From values per query to the few figures of a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distributed_hbt.evaluation.language_bias import RANK_DISTANCE
from distributed_hbt.evaluation.measures import TASK_MEASURES, Values, mean

Kind = Literal["mono", "cross", "multi", "language", "split"]
"""`language`: the queries of a language against its corpus (MIRACL); `split`: those of a BEIR folder."""


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task's values: measure -> query_id -> value."""

    task: str
    kind: Kind
    values: Values

    @property
    def num_queries(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def means(self) -> dict[str, float]:
        return {measure: mean(of_query.values()) for measure, of_query in self.values.items()}


def aggregates(results: Sequence[TaskResult]) -> dict[str, float | Mapping[str, float] | list[str]]:
    """Macro means over the tasks of each kind, the pooled mean and the rank distance.

    `mono`, `cross`, `multi`: the mean over tasks of each measure (arXiv 2408.10536). `pool`: the mean AP
    over all questions of the multilingual tasks (LAReQA). `rank_distance`: the mean over query languages
    of the mean over queries. `mean`: the mean over the languages, which `languages` lists, or over the
    splits. A kind without tasks is left out.
    """
    found: dict[str, float | Mapping[str, float] | list[str]] = {}
    for kind in ("mono", "cross", "multi"):
        of_kind = [result.means for result in results if result.kind == kind]
        if of_kind:
            found[kind] = {name: mean(means[name] for means in of_kind) for name in TASK_MEASURES}
    multi = [result for result in results if result.kind == "multi"]
    if multi:
        found["pool"] = {"AP": mean(value for result in multi for value in result.values["AP"].values())}
        found["rank_distance"] = mean(result.means[RANK_DISTANCE] for result in multi)
    corpora = [result for result in results if result.kind in ("language", "split")]
    if corpora:
        means = [result.means for result in corpora]
        found["mean"] = {name: mean(one[name] for one in means) for name in means[0]}
    languages = [result.task for result in corpora if result.kind == "language"]
    if languages:
        found["languages"] = languages
    return found
