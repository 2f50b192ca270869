"""What every section of the configuration has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from distributed_hbt.languages import LANGUAGE_NAME


class Section(BaseModel):
    """A frozen, strict section: unknown keys and wrong types are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class PathMarker:
    """Marks a field that holds the path of an input; `anchor` says what a relative path starts from."""

    def __init__(self, anchor: str) -> None:
        self.anchor = anchor


RunPath = Annotated[str, PathMarker("run")]
"""Relative to the run file's folder, then to the working directory. Hub ids pass through."""

DataPath = Annotated[str, PathMarker("data")]
"""Relative to `data.root` where it is set, else as RunPath. May be a glob or hold {language}."""

Language = Annotated[str, Field(pattern=LANGUAGE_NAME)]
"""A language's code, or its name in the names of files."""
