"""Where the records of steps go: train.jsonl, the tracker, and now and then the log."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Self

from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.tracking.base import Tracker
from distributed_hbt.tracking.json_lines import JsonLines
from distributed_hbt.train.loop import StepRecord

_SHOWN = 20  # steps of a run that are logged for people
_log = logging.getLogger(__name__)


class StepLog:
    """Rank 0's log of a run, which goes on where a resumed run does."""

    def __init__(self, directory: RunDirectory, tracker: Tracker, max_steps: int, *, world_size: int) -> None:
        self._world_size = world_size
        self._path = directory.train_log
        self._tracker = tracker
        self._max_steps = max_steps
        self._lines: JsonLines | None = None

    def start(self, steps_done: int) -> Callable[[StepRecord], None]:
        """Forget lines of later steps (they are done again); returns what takes the records to come."""
        self._tracker.log_metrics({"cluster/world_size": float(self._world_size)}, step=steps_done)
        lines = self._lines = JsonLines(self._path, last_step=steps_done)

        def write(record: StepRecord) -> None:
            content = asdict(record)
            lines.write(content)
            numbers = {k: float(v) for k, v in content.items() if isinstance(v, int | float) and k != "step"}
            self._tracker.log_metrics({f"train/{k}": v for k, v in numbers.items()}, step=record.step)
            if record.step % max(1, self._max_steps // _SHOWN) == 0:
                self._show(record)

        return write

    def _show(self, record: StepRecord) -> None:
        _log.info(
            "step %d of %d: loss %.4f, gradient norm %.2f, %.2f s, %.0f tokens/s",
            *(record.step, self._max_steps, record.loss, record.grad_norm, record.seconds),
            record.tokens_per_second,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lines is not None:
            self._lines.close()
