"""From values per query to the few figures of a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from distributed_hbt.evaluation.language_bias import MAX_RANK, PEER, RANK_CORRELATION, RANK_DISTANCE
from distributed_hbt.evaluation.measures import TASK_MEASURES, Values, mean

Kind = Literal["mono", "cross", "multi", "language", "split"]
"""`language`: the queries of a language against its corpus (MIRACL); `split`: those of a BEIR folder."""


_LANGUAGE_BIAS = {
    "rank_distance": RANK_DISTANCE,
    "max_rank": MAX_RANK,
    "rank_correlation": RANK_CORRELATION,
    "peer": PEER,
}


@dataclass(frozen=True, slots=True)
class TaskResult:
    """A task's values: measure -> query_id -> value. `of_task`: measures of the task as a whole, which are no
    means of queries; `top10`: passage language -> its share of the ten best documents."""

    task: str
    kind: Kind
    values: Values
    of_task: Mapping[str, float] = field(default_factory=dict)
    top10: Mapping[str, float] = field(default_factory=dict)

    @property
    def num_queries(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def means(self) -> dict[str, float]:
        means = {measure: mean(of_query.values()) for measure, of_query in self.values.items()}
        return {**means, **self.of_task}


def aggregates(results: Sequence[TaskResult]) -> dict[str, float | Mapping[str, float] | list[str]]:
    """Macro means over the tasks of each kind, the pooled mean and the language bias.

    `mono`, `cross`, `multi`: the mean over tasks of each measure (arXiv 2408.10536). `pool`: the mean AP
    over all questions of the multilingual tasks (LAReQA). `rank_distance`, `max_rank`, `rank_correlation`,
    `peer` (see `language_bias`): the mean over query languages. `mean`: the mean over the languages, which
    `languages` lists, or over the splits. A kind without tasks is left out.
    """
    found: dict[str, float | Mapping[str, float] | list[str]] = {}
    for kind in ("mono", "cross", "multi"):
        of_kind = [result.means for result in results if result.kind == kind]
        if of_kind:
            found[kind] = {name: mean(means[name] for means in of_kind) for name in TASK_MEASURES}
    multi = [result for result in results if result.kind == "multi"]
    if multi:
        found["pool"] = {"AP": mean(value for result in multi for value in result.values["AP"].values())}
        for name, measure in _LANGUAGE_BIAS.items():
            having = [result.means[measure] for result in multi if measure in result.means]
            if having:
                found[name] = mean(having)
    corpora = [result for result in results if result.kind in ("language", "split")]
    if corpora:
        means = [result.means for result in corpora]
        found["mean"] = {name: mean(one[name] for one in means) for name in means[0]}
    languages = [result.task for result in corpora if result.kind == "language"]
    if languages:
        found["languages"] = languages
    return found
