"""A study: runs that differ in what a question is about, and how they are compared to answer it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from distributed_hbt.config import yaml_file
from distributed_hbt.config.base import Section
from distributed_hbt.config.messages import config_error
from distributed_hbt.errors import ConfigError

Fields = dict[str, Any]
"""Dotted field of the run configuration -> value. `{first.NAME}` in a string is the encoder of that run."""

_PREFIX = "study."
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
MeasureName = Annotated[str, Field(pattern=r"^(mono|cross|multi|mean):[A-Za-z]+(@[0-9]+)?$")]
"""GROUP:MEASURE, such as cross:nDCG@10."""


class Axis(Section):
    """What is varied: every value of one axis goes with every value of the others."""

    values: dict[str, Fields] = Field(min_length=1)
    """Name of the value -> fields that it sets."""
    number: str | None = None
    """For an axis whose names are numbers: what they count, as it stands below a curve."""

    @model_validator(mode="after")
    def _names_are_numbers(self) -> Self:
        if self.number is not None:
            for name in self.values:
                try:
                    float(name)
                except ValueError:
                    raise ValueError(f"the value {name!r} is no number; rename it, or drop number") from None
        return self


class CurveConfig(Section):
    """A curve through the figures of a numbered axis, with its uncertainty."""

    fit: Literal["log_linear", "quadratic", "critical_point"]
    """log_linear: a + b log2 x. quadratic: a + b x + c x^2, with its best x. critical_point: level up to a
    point, then falling with log2 x."""
    measures: tuple[MeasureName, ...] = Field(min_length=1)
    """A curve each."""


class StudyConfig(Section):
    """A matrix of runs, and the question that they answer."""

    name: str = Field(pattern=_NAME)
    """Name of the study, of its folder and of its MLflow experiment."""
    question: str = Field(min_length=1)
    """One sentence, ending with a question mark."""
    run: str
    """Run file that all runs start from, relative to this file."""
    output_dir: str = "runs/studies"
    """Folder of all studies: reports, runs and the stores that they share."""
    set: Fields = Field(default_factory=dict)
    """Fields that all runs, also the `first`, have otherwise than the run file."""
    first: dict[str, Fields] = Field(default_factory=dict)
    """Runs that are trained before the others, by name, with the fields that they have otherwise; the others
    may start from their encoders."""
    vary: dict[str, Axis] = Field(min_length=1)
    """The axes of the matrix."""
    seeds: tuple[int, ...] = Field(min_length=1)
    """Every combination is trained with each of them."""
    measures: tuple[MeasureName, ...] = Field(min_length=1)
    """What the answer is about: the tests are corrected over these and the pairs."""
    baseline: str | None = None
    """System that all others are compared with."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Pairs of systems that are compared, the later minus the first. With neither: all pairs."""
    curve: CurveConfig | None = None
    """For a study with one numbered axis."""
    limits: tuple[str, ...] = ()
    """What the study can not conclude, whatever comes out; sentences."""
    runs_at_once: int | None = Field(default=None, ge=1)
    """Runs that train at the same time; null: as many as the cluster can hold."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds repeats a seed; name each once")
        if self.baseline is not None and self.pairs:
            raise ValueError("baseline and pairs are both given; keep one of them")
        numbered = [axis for axis in self.vary.values() if axis.number is not None]
        if self.curve is not None and len(numbered) != 1:
            count = len(numbered)
            raise ValueError(f"curve needs one axis with number, vary has {count}; give number to one")
        return self


def load_study(path: Path, overrides: Sequence[str] = ()) -> tuple[StudyConfig, list[str]]:
    """The study of a file, and the overrides that are meant for its runs: `study.seeds=[13]` is one of the
    study's own fields, anything else one of the run configuration. Raises ConfigError."""
    content = yaml_file.read(path)
    of_runs = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not key.startswith(_PREFIX):
            of_runs.append(override)
        elif "." in (name := key.removeprefix(_PREFIX)) or not equals or not name:
            what = f"{override!r} sets no field of a study"
            raise ConfigError("command line", what, "write it as study.seeds=[13,14]")
        else:
            content[name] = yaml_file.parse(text, key)
    try:
        return StudyConfig.model_validate_json(json.dumps(content)), of_runs
    except ValidationError as error:
        raise config_error(error, StudyConfig, content) from error
