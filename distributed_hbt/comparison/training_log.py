"""A run's train.jsonl, read back for curves and for what the batches were made of."""

from collections import Counter
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from distributed_hbt.comparison.comparison import TrainingLog
from distributed_hbt.errors import DataError


class _Step(BaseModel):
    """What is read of a line."""

    model_config = ConfigDict(strict=True, extra="ignore")

    step: int
    loss: float | None
    tokens_per_second: float | None
    batch_kind: str
    languages: list[str]
    num_negatives: int


def read_training_log(path: Path, run: str, system: str) -> TrainingLog:
    """Raises DataError, naming the line, for a line that is no step. A last line that was cut off, in the
    log of a run that goes on, is left out."""
    steps = _steps(path)
    return TrainingLog(
        run=run,
        system=system,
        steps=tuple(step.step for step in steps),
        loss=tuple(step.loss for step in steps),
        tokens_per_second=tuple(step.tokens_per_second for step in steps),
        kinds=dict(Counter(step.batch_kind for step in steps)),
        languages=dict(sorted(Counter(code for step in steps for code in step.languages).items())),
        num_negatives=tuple(step.num_negatives for step in steps),
    )


def _steps(path: Path) -> list[_Step]:
    steps = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                steps.append(_Step.model_validate_json(line))
            except ValidationError as error:
                raise DataError(f"{path}:{number}", "is no line of a step", "remove the line") from error
    return steps
