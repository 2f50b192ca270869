"""A run's train.jsonl, read back for curves and for what the batches were made of."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from distributed_hbt.comparison.comparison import TrainingLog
from distributed_hbt.errors import DataError

_READ = ("step", "loss", "tokens_per_second", "batch_kind", "languages", "num_negatives")


def read_training_log(path: Path, run: str, system: str) -> TrainingLog:
    """Raises DataError, naming the line, for a line that is no step. A last line that was cut off, in the
    log of a run that goes on, is left out."""
    steps = _steps(path)
    return TrainingLog(
        run=run,
        system=system,
        steps=tuple(step["step"] for step in steps),
        loss=tuple(step["loss"] for step in steps),
        tokens_per_second=tuple(step["tokens_per_second"] for step in steps),
        kinds=dict(Counter(step["batch_kind"] for step in steps)),
        languages=dict(sorted(Counter(code for step in steps for code in step["languages"]).items())),
        num_negatives=tuple(step["num_negatives"] for step in steps),
    )


def _steps(path: Path) -> list[dict[str, Any]]:
    steps = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                step = json.loads(line)
                for name in _READ:
                    step[name]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{number}", "is no line of a step", "remove the line") from error
            steps.append(step)
    return steps
