"""How many cases of a kind `make test` runs, and how many `make test-fuzz`."""

from typing import Any

import pytest


def cases(few: int, many: int) -> Any:
    """Parametrizes `first` and `stop`: the first `few` seeds always, the rest up to `many` under `fuzz`."""
    values = [
        pytest.param(0, few, id="few"),
        pytest.param(few, many, id="many", marks=pytest.mark.fuzz),
    ]
    return pytest.mark.parametrize(("first", "stop"), values)
