"""A study -> its runs, all of them checked before the first one starts."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from distributed_hbt.config.fingerprint import run_fingerprint
from distributed_hbt.config.load import load_run
from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.study import Fields, StudyConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.studies.curve import check_axis

_FIRST = re.compile(r"\{first\.([A-Za-z0-9._-]+)\}")
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run of the matrix. `system` names its combination; `number` is its place on the numbered axis,
    `group` its values on the other axes."""

    system: str
    group: str
    number: float | None
    config: RunConfig


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """`first` are trained before `runs`, which may start from their encoders."""

    first: tuple[PlannedRun, ...]
    runs: tuple[PlannedRun, ...]

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.system for run in self.runs))

    def of_system(self, system: str) -> tuple[PlannedRun, ...]:
        return tuple(run for run in self.runs if run.system == system)


def plan_study(study: StudyConfig, file: Path, overrides: Sequence[str] = ()) -> StudyPlan:
    """Every run of the study, named by combination, seed and fingerprint: what has been trained under the
    same configuration is the same run, also of an edited study.

    `overrides` hold for all runs, after whatever the study sets. Raises ConfigError for a run that is not
    valid, for names of systems that do not exist, and for `{first.NAME}` without such a run.
    """
    planner = _Planner(study, file, overrides)
    first = {
        name: planner.run(Combination(name, "", None, fields), study.seeds[0], {})
        for name, fields in study.first.items()
    }
    encoders = {name: _encoder(run.config) for name, run in first.items()}
    runs = [
        planner.run(combination, seed, encoders)
        for combination in _combinations(study)
        for seed in study.seeds
    ]
    plan = StudyPlan(tuple(first.values()), tuple(runs))
    _check_names(study, plan)
    if study.curve is not None:
        check_axis([run.number for run in runs if run.number is not None], study.curve.fit)
    return plan


def is_finished(config: RunConfig) -> bool:
    """Whether the run has been trained, evaluated and recorded. Its name holds its fingerprint: a finished
    run of another configuration has another directory."""
    return RunDirectory(config.run_dir).finished.exists()


@dataclass(frozen=True)
class _Planner:
    study: StudyConfig
    file: Path
    overrides: Sequence[str]

    def run(self, combination: "Combination", seed: int, encoders: Mapping[str, str]) -> PlannedRun:
        system = combination.system
        folder = Path(self.study.output_dir).absolute()
        settings = {
            "output_dir": str(folder / self.study.name / "runs"),
            "data.store_dir": str(folder / "stores"),
            "tracking.experiment": self.study.name,
            **self.study.set,
            **combination.fields,
            "seed": seed,
        }
        texts = [f"{key}={json.dumps(_filled(value, encoders))}" for key, value in settings.items()]
        try:
            config = load_run(self.file.parent / self.study.run, [*texts, *self.overrides])
        except ConfigError as error:
            raise ConfigError(f"{self.file}: {system}: {error.where}", error.what, error.remedy) from error
        name = f"{_file_name(system)}-s{seed}-{run_fingerprint(config)[:_DIGITS]}"
        return PlannedRun(
            system, combination.group, combination.number, config.model_copy(update={"name": name})
        )


@dataclass(frozen=True, slots=True)
class Combination:
    """A value of every axis, and the fields that they set."""

    system: str
    group: str
    number: float | None
    fields: Fields


def _combinations(study: StudyConfig) -> list[Combination]:
    found = []
    for values in product(*(axis.values.items() for axis in study.vary.values())):
        named = [
            (name, axis.number is not None)
            for (name, _), axis in zip(values, study.vary.values(), strict=True)
        ]
        numbers = [float(name) for name, is_number in named if is_number]
        found.append(
            Combination(
                system=" ".join(name for name, _ in named if name),
                group=" ".join(name for name, is_number in named if not is_number),
                number=numbers[0] if len(numbers) == 1 else None,
                fields={key: value for _, fields in values for key, value in fields.items()},
            )
        )
    return found


def _filled(value: object, encoders: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {key: _filled(item, encoders) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, encoders) for item in value]
    if not isinstance(value, str):
        return value

    def encoder(match: re.Match[str]) -> str:
        if match[1] not in encoders:
            raise ConfigError("first", f"has no run {match[1]!r}, which {value!r} asks for", "name it there")
        return encoders[match[1]]

    return _FIRST.sub(encoder, value)


def _encoder(config: RunConfig) -> str:
    return str(RunDirectory(config.run_dir).checkpoint(config.train.max_steps) / "encoder")


def _file_name(system: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", system).strip("-._") or "system"


def _check_names(study: StudyConfig, plan: StudyPlan) -> None:
    named = [*([study.baseline] if study.baseline else []), *(name for pair in study.pairs for name in pair)]
    for name in named:
        if name not in plan.systems:
            known = ", ".join(plan.systems)
            raise ConfigError(
                "pairs" if study.pairs else "baseline", f"{name} is no system", f"choose from {known}"
            )
