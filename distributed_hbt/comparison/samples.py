"""What is compared: contributions of a system's runs to a macro mean, on queries that all systems share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from distributed_hbt.comparison.observations import Observations, Task, Units
from distributed_hbt.comparison.significance import (
    Floats,
    Integers,
    bootstrap_intervals,
    randomisation_p,
)
from distributed_hbt.errors import DataError

T = TypeVar("T")
Observed = Mapping[str, Sequence[Observations]]
"""System -> its observations on one benchmark, one a seed."""

_REMEDY = "compare runs that were evaluated on the same queries"


@dataclass(frozen=True)
class Line:
    """What a row is about: the macro mean of a measure over the tasks that `takes` them."""

    group: str
    measure: str
    takes: Callable[[Task], bool]
    language: str | None = None


@dataclass(frozen=True)
class Sample:
    """A system's contributions, one row a seed."""

    units: Units
    contribution_SU: Floats

    @property
    def num_seeds(self) -> int:
        return len(self.contribution_SU)

    @property
    def mean_over_seeds(self) -> Floats:
        """[U]"""
        return np.asarray(self.contribution_SU.mean(axis=0))


@dataclass(frozen=True, slots=True)
class Column:
    """Contributions [U] whose sum is asked about."""

    units: Units
    contribution_U: Floats


def samples_of(systems: Observed, line: Line) -> dict[str, Sample]:
    """The samples of the systems all of whose runs have the measure. Raises DataError where runs were
    measured on other queries."""
    samples: dict[str, Sample] = {}
    first: tuple[Units, Observations] | None = None
    for name, runs in systems.items():
        tasks = [run.tasks_where(line.takes) for run in runs]
        if not all(run.has(line.measure, of_run) for run, of_run in zip(runs, tasks, strict=True)):
            continue
        contributions = []
        for run, of_run in zip(runs, tasks, strict=True):
            units, contribution_U = run.contributions(of_run, line.measure)
            first = first or (units, run)
            if not _alike(units, first[0]):
                raise DataError(str(run.where), f"has other queries than {first[1].where}", _REMEDY)
            contributions.append(contribution_U)
        assert first is not None, "a system has a run"
        samples[name] = Sample(first[0], np.stack(contributions))
    return samples


def intervals_of(columns: Sequence[Column]) -> list[tuple[float, float]]:
    """The bootstrap interval of every column's sum."""

    def intervals(contribution_UK: Floats, stratum_U: Integers) -> list[tuple[float, float]]:
        low_K, high_K = bootstrap_intervals(contribution_UK, stratum_U)
        return list(zip(low_K.tolist(), high_K.tolist(), strict=True))

    return _by_units(columns, intervals)


def p_values_of(columns: Sequence[Column], resamples: int) -> list[float]:
    """The p value of the randomisation test of every column's sum."""

    def p_values(contribution_UK: Floats, _: Integers) -> list[float]:
        return [float(p) for p in randomisation_p(contribution_UK, resamples)]

    return _by_units(columns, p_values)


def _by_units(columns: Sequence[Column], ask: Callable[[Floats, Integers], list[T]]) -> list[T]:
    """Columns of the same units are asked about together: they share their random numbers, which are what
    takes time."""
    alike: dict[tuple[tuple[str, ...], bytes], list[int]] = {}
    for i, column in enumerate(columns):
        alike.setdefault((column.units.names, column.units.stratum_U.tobytes()), []).append(i)
    found: dict[int, T] = {}
    for places in alike.values():
        contribution_UK = np.stack([columns[i].contribution_U for i in places], axis=1)
        found.update(zip(places, ask(contribution_UK, columns[places[0]].units.stratum_U), strict=True))
    return [found[i] for i in range(len(columns))]


def _alike(one: Units, other: Units) -> bool:
    return one.names == other.names and np.array_equal(one.stratum_U, other.stratum_U)
