"""Which runs are one system: those that differ in nothing but the seed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from distributed_hbt.comparison.comparison import Run, System
from distributed_hbt.comparison.results import RunResult
from distributed_hbt.config.fingerprint import system_fingerprint
from distributed_hbt.config.load import flatten
from distributed_hbt.errors import ConfigError

Grouped = Mapping[str, Sequence[RunResult]]
"""System -> its runs, in the order of their seeds."""

_OF_A_RUN = ("name", "output_dir", "seed", "cluster.", "tracking.", "mining.", "train.deepspeed")
_UNSET = object()


def group_runs(results: Sequence[RunResult]) -> Grouped:
    """Runs of one configuration are a system, named by what their names have in common; a run whose
    configuration is not known is a system of its own.

    Raises ConfigError where two runs of one system have the same seed.
    """
    alike: dict[str, list[RunResult]] = {}
    for i, result in enumerate(results):
        key = f"run {i}" if result.config is None else system_fingerprint(result.config)
        alike.setdefault(key, []).append(result)
    systems: dict[str, list[RunResult]] = {}
    for key, runs in alike.items():
        name = _common_name([run.name for run in runs])
        systems[name if name and name not in systems else f"{name or 'system'} {key[:6]}"] = runs
    return {name: check_seeds(name, runs) for name, runs in systems.items()}


def check_seeds(name: str, runs: Sequence[RunResult]) -> list[RunResult]:
    """The runs of a system in the order of their seeds. Raises ConfigError where two have the same."""
    by_seed: dict[int | str, RunResult] = {}
    for run in runs:
        seed = run.name if run.config is None else run.config.seed
        if seed in by_seed:
            what = f"{by_seed[seed].name} and {run.name} are runs of one configuration and seed {seed}"
            raise ConfigError(f"system {name}", what, "name one of them alone")
        by_seed[seed] = run
    return [by_seed[seed] for seed in sorted(by_seed, key=lambda seed: (str(type(seed)), seed))]


def describe(systems: Grouped) -> tuple[System, ...]:
    """The systems with the fields in which their configurations differ."""
    flat = {name: flatten(runs[0].config) for name, runs in systems.items() if runs[0].config is not None}
    fields = sorted({field for values in flat.values() for field in values})
    differing = [field for field in fields if not field.startswith(_OF_A_RUN) and _differs(flat, field)]
    return tuple(
        System(
            name,
            tuple(
                Run(run.name, run.config.seed if run.config else None, run.step, run.mlflow_run)
                for run in runs
            ),
            {field: flat[name].get(field) for field in differing} if name in flat else {},
        )
        for name, runs in systems.items()
    )


def _differs(flat: Mapping[str, Mapping[str, Any]], field: str) -> bool:
    first, *others = (values.get(field, _UNSET) for values in flat.values())
    return any(other != first for other in others)


def _common_name(names: Sequence[str]) -> str:
    """hybrid-13, hybrid-14 -> hybrid."""
    if len(names) == 1:
        return names[0]
    return re.sub(r"[-_.\s]*(seed|s)?[-_.\s]*\d*$", "", _common_start(names))


def _common_start(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    return first[: next((i for i, (one, other) in pairs if one != other), len(first))]
