"""Names as MLflow takes them, and the measures of an evaluation under such names."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_MAX_LENGTH = 250


def tracking_name(name: str) -> str:
    """Letters, digits and `_-. :/` stay; `@` becomes `_at_` (nDCG@10 -> nDCG_at_10), others `_`."""
    return re.sub(r"[^\w\-. :/]", "_", name.replace("@", "_at_"), flags=re.ASCII)[:_MAX_LENGTH]


def evaluation_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """`<benchmark>/<aggregate or task>/<measure>` -> value, of the contents of a summary.json."""
    benchmark = summary["benchmark"]
    tasks = {task: result["measures"] for task, result in summary["tasks"].items()}
    numbers = {**dict(_numbers(tasks, benchmark)), **dict(_numbers(summary["aggregates"], benchmark))}
    return {tracking_name(name): value for name, value in numbers.items()}


def _numbers(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}/{key}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}/{key}", float(value)
