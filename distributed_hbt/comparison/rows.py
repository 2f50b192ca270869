"""One table of a comparison: figures of every system, tests of every pair, corrected together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from distributed_hbt.comparison.comparison import Difference, Figure, Row
from distributed_hbt.comparison.samples import (
    Column,
    Line,
    Observed,
    Sample,
    intervals_of,
    p_values_of,
    samples_of,
)
from distributed_hbt.comparison.significance import (
    RESAMPLES,
    effect_size,
    holm,
    seeds_interval,
    seeds_t_test,
    t_test,
    wins_and_losses,
)

LOWER_IS_BETTER = frozenset({"RD", "Max@R"})
_RESAMPLES_A_TEST = 40
"""So many that the smallest p of a randomisation test, times the tests of the table, is below the level."""

Pair = tuple[str, str]


def make_rows(systems: Observed, lines: Sequence[Line], pairs: Sequence[Pair]) -> tuple[Row, ...]:
    """A table: the lines that any system has. The tests of the `pairs`, the later minus the first, are one
    family (Holm); a pair of which either lacks a measure has none there.

    Raises DataError where two systems were measured on other queries.
    """
    having = [(line, samples) for line in lines if (samples := samples_of(systems, line))]
    differences = [
        _difference_column(samples[one], samples[other])
        for _, samples in having
        for one, other in _present(samples, pairs)
    ]
    resamples = max(RESAMPLES, _RESAMPLES_A_TEST * len(lines) * len(pairs))
    of_figures = iter(intervals_of([one for _, samples in having for one in _single_seeds(samples)]))
    of_differences, p_values = iter(intervals_of(differences)), iter(p_values_of(differences, resamples))
    rows = [
        Row(
            group=line.group,
            language=line.language,
            measure=line.measure,
            higher_is_better=line.measure not in LOWER_IS_BETTER,
            figures={name: _figure(sample, of_figures) for name, sample in samples.items()},
            differences=tuple(
                _difference(samples, pair, line, next(of_differences), next(p_values))
                for pair in _present(samples, pairs)
            ),
        )
        for line, samples in having
    ]
    corrected = iter(holm([difference.p for row in rows for difference in row.differences]))
    return tuple(
        replace(row, differences=tuple(replace(one, p_holm=next(corrected)) for one in row.differences))
        for row in rows
    )


def _single_seeds(samples: Mapping[str, Sample]) -> Iterator[Column]:
    """Whose interval is over queries."""
    for sample in samples.values():
        if sample.num_seeds == 1:
            yield Column(sample.units, sample.contribution_SU[0])


def _present(samples: Mapping[str, Sample], pairs: Sequence[Pair]) -> list[Pair]:
    return [(one, other) for one, other in pairs if one in samples and other in samples]


def _difference_column(one: Sample, other: Sample) -> Column:
    return Column(one.units, other.mean_over_seeds - one.mean_over_seeds)


def _figure(sample: Sample, over_queries: Iterator[tuple[float, float]]) -> Figure:
    total_S = sample.contribution_SU.sum(axis=1)
    low, high = next(over_queries) if sample.num_seeds == 1 else seeds_interval(total_S)
    of_seeds = tuple(float(total) for total in total_S)
    return Figure(float(total_S.mean()), low, high, of_seeds, len(sample.units.names))


def _difference(
    samples: Mapping[str, Sample],
    pair: Pair,
    line: Line,
    over_queries: tuple[float, float],
    p_randomisation: float,
) -> Difference:
    one, other = samples[pair[0]], samples[pair[1]]
    stratum_U = one.units.stratum_U
    column_U = _difference_column(one, other).contribution_U
    (low, high), p, p_seeds = over_queries, p_randomisation, None
    if max(one.num_seeds, other.num_seeds) > 1:
        test = seeds_t_test(one.contribution_SU, other.contribution_SU, stratum_U)
        low, high, p, p_seeds = test.low, test.high, test.p, test.p
    wins, losses, ties = wins_and_losses(-column_U if line.measure in LOWER_IS_BETTER else column_U)
    return Difference(
        one=pair[0],
        other=pair[1],
        mean=float(column_U.sum()),
        low=low,
        high=high,
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
