"""Where the records of steps go: train.jsonl, and the tracker."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Self

from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.tracking.base import Tracker
from distributed_hbt.tracking.json_lines import JsonLines
from distributed_hbt.train.loop import StepRecord


class StepLog:
    """Rank 0's log of a run, which goes on where a resumed run does."""

    def __init__(self, directory: RunDirectory, tracker: Tracker) -> None:
        self._path = directory.train_log
        self._tracker = tracker
        self._lines: JsonLines | None = None

    def start(self, steps_done: int) -> Callable[[StepRecord], None]:
        """Forget lines of later steps (they are done again); returns what takes the records to come."""
        lines = self._lines = JsonLines(self._path, last_step=steps_done)

        def write(record: StepRecord) -> None:
            content = asdict(record)
            lines.write(content)
            numbers = {k: float(v) for k, v in content.items() if isinstance(v, int | float) and k != "step"}
            self._tracker.log_metrics({f"train/{k}": v for k, v in numbers.items()}, step=record.step)

        return write

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()
