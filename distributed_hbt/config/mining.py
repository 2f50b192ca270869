"""Which passages `hbt mine` takes as hard negatives."""

from typing import Literal, Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import DataPath, Section


class MiningConfig(Section):
    """Hard negatives for the queries of `data.sources`. A passage of the query's group is never one."""

    corpus: dict[str, DataPath] = Field(default_factory=dict)
    """language -> `docs-*.jsonl.gz` ({docid, title, text}) to search; empty: the passages of the sources."""
    depth: int = Field(default=200, ge=1)
    """Passages a query that are looked at, from the best down, after known positives are left out."""
    first_rank: int = Field(default=1, ge=1)
    """Ranks, from 1, before this one are skipped: the very best are often unlabelled positives."""
    num_negatives: int = Field(default=8, ge=1)
    """Negatives a query that are kept."""
    choice: Literal["best", "random"] = "best"
    """Of those that remain: the best ones, or any, by `seed`."""
    absolute_margin: float | None = None
    """A negative scores at most the query's lowest positive minus this."""
    relative_margin: float | None = Field(default=None, ge=0, lt=1)
    """A negative scores at most (1 - this) times the query's lowest positive, for scores above zero
    (arXiv 2407.15831 takes 0.05)."""
    language: Literal["any", "same", "other"] = "any"
    """Language of a negative, set against the query's."""

    @model_validator(mode="after")
    def _ranks_are_within_depth(self) -> Self:
        if self.first_rank > self.depth:
            raise ValueError(f"first_rank {self.first_rank} is beyond depth {self.depth}; lower it")
        return self
