"""train.jsonl: one line a step, continued where a resumed run continues."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distributed_hbt.aside import aside
from distributed_hbt.errors import CheckpointError


class JsonLines:
    """Appends steps to a file. Numbers that are not finite are written as null, as JSON has none."""

    def __init__(self, path: Path, *, last_step: int = 0) -> None:
        """Opens `path` to continue after `last_step`: lines of later steps, and a last line that was cut
        off, are removed first. Raises CheckpointError where a line before the last is no step.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _cut(path, last_step)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """One line; it reaches the file at once."""
        content = {key: _finite(value) for key, value in record.items()}
        self._file.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cut(path: Path, last_step: int) -> None:
    partial = aside(path)
    with partial.open("w", encoding="utf-8") as kept:
        for step, line in _steps(path):
            if step <= last_step:
                kept.write(line)
    partial.replace(path)


def _steps(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # the run ended while it wrote this line
            try:
                text = line.decode()
                step = json.loads(text)["step"] + 0
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                where = f"{path}:{number}"
                raise CheckpointError(where, "is no line of a step", "remove the line") from error
            yield step, text


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
