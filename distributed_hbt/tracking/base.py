"""What a run tells its tracker."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from distributed_hbt.tracking.datasets import DatasetFacts

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker(Protocol):
    """Remembers one run. No method blocks a training step, and none raises because of the store."""

    @property
    def run_id(self) -> str:
        """The run's id in the store; a resumed run keeps it."""
        ...

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Numbers of a step."""
        ...

    def log_evaluation(self, summary: Mapping[str, Any], step: int, measured: float | None = None) -> None:
        """The measures of a summary.json, at the step of its checkpoint.

        `measured`: when, seconds since 1970; measures that are logged again with the same time are kept once.
        """
        ...

    def log_artifact(self, path: Path, folder: str = "") -> None:
        """Keep a copy of a file, in a folder of the run's artifacts."""
        ...

    def log_datasets(self, datasets: Sequence[DatasetFacts]) -> None:
        """What the run is trained or measured on; one that is known already is not added again."""
        ...

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Tags to find the run by, set anew where it has them."""
        ...

    def watch_system(self) -> None:
        """Log how busy this machine is, until the tracker is closed or the run finished."""
        ...

    def close(self) -> None:
        """Send what is still waiting; the run goes on, in another process. The log says what was not sent."""
        ...

    def finish(self, status: Status) -> None:
        """Send what is still waiting, and end the run. Says in the log what was not sent."""
        ...
