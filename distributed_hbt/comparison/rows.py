"""One table of a comparison: figures of every system, tests of every pair, corrected together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from distributed_hbt.comparison.comparison import Difference, Figure, Row
from distributed_hbt.comparison.observations import Observations, Task, Units
from distributed_hbt.comparison.significance import (
    RESAMPLES,
    Floats,
    bootstrap_intervals,
    effect_size,
    holm,
    randomisation_p,
    seeds_interval,
    seeds_t_test,
    t_test,
    wins_and_losses,
)
from distributed_hbt.errors import DataError

LOWER_IS_BETTER = frozenset({"RD", "Max@R"})
_RESAMPLES_A_TEST = 40
"""So many that the smallest p of a randomisation test, times the tests of the table, is below the level."""


@dataclass(frozen=True)
class Line:
    """What a row is about: the macro mean of a measure over the tasks that `takes` them."""

    group: str
    measure: str
    takes: Callable[[Task], bool]
    language: str | None = None


Pair = tuple[str, str]
Observed = Mapping[str, Sequence[Observations]]
"""System -> its observations on one benchmark, one a seed."""


@dataclass(frozen=True)
class _Sample:
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


def make_rows(systems: Observed, lines: Sequence[Line], pairs: Sequence[Pair]) -> tuple[Row, ...]:
    """A table: the lines that any system has. The tests of the `pairs`, the later minus the first, are one
    family (Holm); a pair of which either lacks a measure has none there.

    Raises DataError where two systems were measured on other queries.
    """
    resamples = max(RESAMPLES, _RESAMPLES_A_TEST * len(lines) * len(pairs))
    rows = [row for line in lines if (row := _row(systems, line, pairs, resamples)).figures]
    family = [difference.p for row in rows for difference in row.differences]
    corrected = iter(holm(family))
    return tuple(
        replace(row, differences=tuple(replace(one, p_holm=next(corrected)) for one in row.differences))
        for row in rows
    )


def _row(systems: Observed, line: Line, pairs: Sequence[Pair], resamples: int) -> Row:
    samples = {name: sample for name, one in systems.items() if (sample := _sample(one, line)) is not None}
    return Row(
        group=line.group,
        language=line.language,
        measure=line.measure,
        higher_is_better=line.measure not in LOWER_IS_BETTER,
        figures={name: _figure(sample) for name, sample in samples.items()},
        differences=_differences(samples, line, pairs, resamples),
    )


def _sample(runs: Sequence[Observations], line: Line) -> _Sample | None:
    """None where any of the system's runs lacks the measure."""
    found: list[tuple[Units, Floats]] = []
    for run in runs:
        tasks = run.tasks_where(line.takes)
        if not run.has(line.measure, tasks):
            return None
        found.append(run.contributions(tasks, line.measure))
    (units, _), *others = found
    for run, (other, _) in zip(runs[1:], others, strict=True):
        _check_alike(runs[0], run, units, other)
    return _Sample(units, np.stack([contribution_U for _, contribution_U in found]))


def _check_alike(one: Observations, other: Observations, of_one: Units, of_other: Units) -> None:
    if of_one.names != of_other.names or not np.array_equal(of_one.stratum_U, of_other.stratum_U):
        what = f"has other queries than {one.where}"
        raise DataError(str(other.where), what, "compare runs that were evaluated on the same queries")


def _figure(sample: _Sample) -> Figure:
    total_S = sample.contribution_SU.sum(axis=1)
    if len(total_S) > 1:
        low, high = seeds_interval(total_S)
    else:
        lows_K, highs_K = bootstrap_intervals(sample.contribution_SU.T, sample.units.stratum_U)
        low, high = float(lows_K[0]), float(highs_K[0])
    of_seeds = tuple(float(total) for total in total_S)
    return Figure(float(total_S.mean()), low, high, of_seeds, len(sample.units.names))


def _differences(
    samples: Mapping[str, _Sample], line: Line, wanted: Sequence[Pair], resamples: int
) -> tuple[Difference, ...]:
    pairs = [(one, other) for one, other in wanted if one in samples and other in samples]
    if not pairs:
        return ()
    units = samples[pairs[0][0]].units
    for one, other in pairs:
        if samples[one].units.names != samples[other].units.names:
            what = f"{other} was measured on other queries than {one} ({line.group} {line.measure})"
            raise DataError("comparison", what, "compare runs that were evaluated on the same queries")
    columns_UK = np.stack(
        [samples[other].mean_over_seeds - samples[one].mean_over_seeds for one, other in pairs], axis=1
    )
    randomisation_K = randomisation_p(columns_UK, resamples)
    low_K, high_K = bootstrap_intervals(columns_UK, units.stratum_U)
    return tuple(
        _difference(samples, pair, line, columns_UK[:, k], float(randomisation_K[k]), (low_K[k], high_K[k]))
        for k, pair in enumerate(pairs)
    )


def _difference(
    samples: Mapping[str, _Sample],
    pair: Pair,
    line: Line,
    column_U: Floats,
    p_randomisation: float,
    interval: tuple[float, float],
) -> Difference:
    one, other = samples[pair[0]], samples[pair[1]]
    stratum_U = one.units.stratum_U
    low, high = interval
    p_seeds = None
    if max(one.num_seeds, other.num_seeds) > 1:
        test = seeds_t_test(one.contribution_SU, other.contribution_SU, stratum_U)
        p_seeds, low, high = test.p, test.low, test.high
    wins, losses, ties = wins_and_losses(-column_U if line.measure in LOWER_IS_BETTER else column_U)
    p = p_randomisation if p_seeds is None else p_seeds
    return Difference(
        one=pair[0],
        other=pair[1],
        mean=float(column_U.sum()),
        low=float(low),
        high=float(high),
        p_randomisation=p_randomisation,
        p_t=t_test(column_U, stratum_U).p,
        p_seeds=p_seeds,
        p=p,
        p_holm=p,
        effect_size=effect_size(column_U, stratum_U),
        wins=wins,
        losses=losses,
        ties=ties,
    )
