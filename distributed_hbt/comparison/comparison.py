"""What a comparison says: the one thing that tables, the report and studies read.

A *system* is one configuration, whatever its seeds; a *figure* is its mean on one measure, a *difference*
what a test says about two systems. Nothing in here computes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

LEVEL = 0.05
"""Of the family of tests in a table, after Holm's correction; intervals cover 1 - LEVEL."""


@dataclass(frozen=True, slots=True)
class Run:
    """One trained model: its directory's name, its seed where its configuration is known, the step that was
    evaluated, and its run in MLflow where it has one."""

    name: str
    seed: int | None
    step: int | None
    mlflow_run: str | None


@dataclass(frozen=True, slots=True)
class System:
    """Runs that differ in nothing but the seed. `configuration`: dotted field -> value, of the fields in
    which the systems of the comparison differ; empty where a run's configuration is not known."""

    name: str
    runs: tuple[Run, ...]
    configuration: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """A system's mean of a measure: over units (queries), macro over tasks, over seeds.

    `low`, `high`: 95% interval, over seeds (t) where there are several, else over queries (bootstrap); None
    where it can not be known (a figure that is not a mean of queries, one seed).
    """

    mean: float
    low: float | None
    high: float | None
    of_seeds: tuple[float, ...]
    num_queries: int


@dataclass(frozen=True, slots=True)
class Difference:
    """`other` minus `one`, on the same queries.

    `p_randomisation`, `p_t`: paired tests over queries, of these trained models; `p_seeds`: the test that
    respects seeds and queries, None where both have a single seed. `p` is the one that decides: `p_seeds`
    where it is there, else `p_randomisation`; `p_holm` is `p` after Holm's correction over the table.
    `effect_size`: mean of the differences of queries over their standard deviation. `wins`: queries on which
    `other` is better (with the sign of the measure: lower rank distance is better).
    """

    one: str
    other: str
    mean: float
    low: float
    high: float
    p_randomisation: float
    p_t: float
    p_seeds: float | None
    p: float
    p_holm: float
    effect_size: float
    wins: int
    losses: int
    ties: int

    @property
    def is_significant(self) -> bool:
        return self.p_holm <= LEVEL


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: `group` is mono, cross, multi, or mean (over languages); in tables by language
    `language` is set: the query language. `figures` by system name; a system that lacks the measure has
    none. Differences of all pairs, or of all to the baseline."""

    group: str
    language: str | None
    measure: str
    higher_is_better: bool
    figures: Mapping[str, Figure]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class BenchmarkComparison:
    """`summary`, `by_language`, `language_bias`: tables, each a family of tests of its own.

    `cells`: system -> query language -> passage language -> mean AP (the diagonal is the monolingual task);
    empty for benchmarks without such tasks. `top10`: system -> query language -> passage language -> share of
    the ten best documents of the multilingual task.
    """

    benchmark: str
    summary: tuple[Row, ...]
    by_language: tuple[Row, ...]
    language_bias: tuple[Row, ...]
    cells: Mapping[str, Mapping[str, Mapping[str, float]]]
    top10: Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """A run's train.jsonl, by step: `kinds` counts steps by batch kind (mono, cross), `languages` steps in
    which a language took part; `loss` and `tokens_per_second` are None in a step that has none."""

    run: str
    system: str
    steps: tuple[int, ...]
    loss: tuple[float | None, ...]
    tokens_per_second: tuple[float | None, ...]
    kinds: Mapping[str, int]
    languages: Mapping[str, int]
    num_negatives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Systems side by side. `baseline`: the system that all others are compared with; None for all pairs."""

    systems: tuple[System, ...]
    baseline: str | None
    benchmarks: tuple[BenchmarkComparison, ...]
    training: tuple[TrainingLog, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain dictionaries, with `significant` beside every difference."""
        content = asdict(self)
        for benchmark in content["benchmarks"]:
            for rows in ("summary", "by_language", "language_bias"):
                for row in benchmark[rows]:
                    for difference in row["differences"]:
                        difference["significant"] = difference["p_holm"] <= LEVEL
        return content
