"""summary.json of an evaluation, checked for its form: runs come from other people and other versions too."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from distributed_hbt.errors import DataError

_Measures = dict[str, float | None]


class _Task(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    num_queries: int
    measures: _Measures


class _Summary(BaseModel):
    """What is read of it. Everything else in it is for people."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

    benchmark: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    tasks: dict[str, _Task] = Field(default_factory=dict)
    aggregates: dict[str, float | dict[str, float] | list[str]]
    step: int | None = None
    languages: list[str] | None = None
    top10_languages: dict[str, dict[str, float]] | None = None


def read_summary_file(path: Path) -> dict[str, Any]:
    """Its content. Raises DataError where it is damaged, naming the first place that is not as it must be."""
    try:
        checked = _Summary.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(str(path), f"can not be read ({error.strerror})", "evaluate again") from error
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        what = f"is damaged ({f'{place}: ' if place else ''}{fault['msg']})"
        raise DataError(str(path), what, "remove it and evaluate again") from error
    return checked.model_dump(mode="python", exclude_unset=True)
