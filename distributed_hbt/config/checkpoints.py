"""How checkpoints are written, and which are kept."""

from typing import Self

from pydantic import Field, model_validator

from distributed_hbt.config.base import Section


class BestCheckpoints(Section):
    """Checkpoints that are kept for their results."""

    measure: str = Field(pattern=r"^[^/\s]+/[^/\s]+(/[^/\s]+)?$")
    """A figure of `aggregates` in the summary of a benchmark: `xquad_r/multi/AP`, `xquad_r/rank_distance`,
    `miracl/mean/nDCG@10`. The highest are the best; of `rank_distance` and `max_rank` the lowest."""
    number: int = Field(default=1, ge=1)
    """How many of the best are kept."""

    @property
    def benchmark(self) -> str:
        return self.measure.partition("/")[0]


class CheckpointsConfig(Section):
    """Which checkpoints stay on the disk, and whether training waits for them to get there."""

    asynchronous: bool = True
    """Training goes on as soon as its state has been copied to the memory of the host, which needs as much
    again as a checkpoint has; false: it waits until the checkpoint is on the disk."""
    keep_last: int | None = Field(default=None, ge=1)
    """Keep so many of the newest; null: all. One that is due for evaluation is kept until it has results."""
    keep_every: int | None = Field(default=None, ge=1)
    """With `keep_last`, keep those at multiples of this step too."""
    best: BestCheckpoints | None = None
    """With `keep_last`, keep the best by a measure too."""

    @model_validator(mode="after")
    def _something_is_removed(self) -> Self:
        for name in ("keep_every", "best"):
            if getattr(self, name) is not None and self.keep_last is None:
                raise ValueError(f"{name} says what is kept beyond keep_last, which is not set; set both")
        return self
