"""Which passages `hbt mine` takes as hard negatives."""

from typing import Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import DataPath, Section
from distributed_hbt.languages import language_code


class MiningConfig(Section):
    """Hard negatives for the queries of `data.sources`. Known positives are never among them."""

    corpus: dict[str, DataPath] = Field(default_factory=dict)
    """language -> `docs-*.jsonl.gz` ({docid, title, text}) to search; empty: the passages of the sources,
    positives and given negatives."""
    depth: int = Field(default=200, ge=1)
    """Passages a query that are looked at, from the best down, after known positives are left out."""
    first_rank: int = Field(default=1, ge=1)
    """Ranks, from 1, before this one are skipped: the very best are often unlabelled positives. Known
    positives hold no rank."""
    num_negatives: int = Field(default=8, ge=1)
    """Negatives a row that are taken."""
    choice: Literal["best", "random"] = "best"
    """Of those that remain: the best ones, or any, by `seed`."""
    absolute_margin: float | None = None
    """A negative scores at most the lowest positive of its row minus this."""
    relative_margin: float | None = Field(default=None, ge=0, lt=1)
    """A negative scores at most the lowest positive p of its row minus this times |p|: for scores above zero
    (1 - this) times p (arXiv 2407.15831 takes 0.05)."""
    language: Literal["any", "same", "other"] = "any"
    """Language of a negative, set against the query's."""
    keep_given: bool = False
    """Keep the negatives that a row has already (without known positives) before those that are mined."""

    @model_validator(mode="after")
    def _ranks_are_within_depth(self) -> Self:
        if self.first_rank > self.depth:
            raise ValueError(f"first_rank {self.first_rank} is beyond depth {self.depth}; lower it")
        return self

    @model_validator(mode="after")
    def _languages_differ(self) -> Self:
        named: dict[str, str] = {}
        for language in self.corpus:
            other = named.setdefault(language_code(language), language)
            if other != language:
                raise ValueError(f"corpus: {other} and {language} name one language; keep one of them")
        return self

    @property
    def has_margin(self) -> bool:
        """Whether a negative's score is set against a positive's."""
        return self.absolute_margin is not None or self.relative_margin is not None
