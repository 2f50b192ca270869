"""One table of a comparison: figures of every system, tests of every pair, corrected together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from distributed_hbt.comparison.comparison import Difference, Figure, Row
from distributed_hbt.comparison.samples import (
    Column,
    Line,
    Observed,
    Resampled,
    Sample,
    resample,
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
    columns = [column for _, samples in having for column in _columns(samples, pairs)]
    resampled = iter(resample(columns, max(RESAMPLES, _RESAMPLES_A_TEST * len(lines) * len(pairs))))
    rows = [_row(line, samples, pairs, resampled) for line, samples in having]
    corrected = iter(holm([difference.p for row in rows for difference in row.differences]))
    return tuple(
        replace(row, differences=tuple(replace(one, p_holm=next(corrected)) for one in row.differences))
        for row in rows
    )


def _columns(samples: Mapping[str, Sample], pairs: Sequence[Pair]) -> Iterator[Column]:
    """Those that `_row` takes the outcome of, in its order."""
    for sample in samples.values():
        if sample.num_seeds == 1:
            yield Column(sample.units, sample.contribution_SU[0])
    for one, other in _present(samples, pairs):
        yield _difference_column(samples[one], samples[other])


def _row(
    line: Line, samples: Mapping[str, Sample], pairs: Sequence[Pair], resampled: Iterator[Resampled]
) -> Row:
    figures = {
        name: _figure(sample, next(resampled) if sample.num_seeds == 1 else None)
        for name, sample in samples.items()
    }
    differences = tuple(
        _difference(samples, pair, line, next(resampled)) for pair in _present(samples, pairs)
    )
    return Row(
        group=line.group,
        language=line.language,
        measure=line.measure,
        higher_is_better=line.measure not in LOWER_IS_BETTER,
        figures=figures,
        differences=differences,
    )


def _present(samples: Mapping[str, Sample], pairs: Sequence[Pair]) -> list[Pair]:
    return [(one, other) for one, other in pairs if one in samples and other in samples]


def _difference_column(one: Sample, other: Sample) -> Column:
    return Column(one.units, other.mean_over_seeds - one.mean_over_seeds)


def _figure(sample: Sample, resampled: Resampled | None) -> Figure:
    total_S = sample.contribution_SU.sum(axis=1)
    low, high = seeds_interval(total_S) if resampled is None else (resampled.low, resampled.high)
    of_seeds = tuple(float(total) for total in total_S)
    return Figure(float(total_S.mean()), low, high, of_seeds, len(sample.units.names))


def _difference(samples: Mapping[str, Sample], pair: Pair, line: Line, resampled: Resampled) -> Difference:
    one, other = samples[pair[0]], samples[pair[1]]
    stratum_U = one.units.stratum_U
    column_U = _difference_column(one, other).contribution_U
    low, high, p, p_seeds = resampled.low, resampled.high, resampled.p, None
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
        p_randomisation=resampled.p,
        p_t=t_test(column_U, stratum_U).p,
        p_seeds=p_seeds,
        p=p,
        p_holm=p,
        effect_size=effect_size(column_U, stratum_U),
        wins=wins,
        losses=losses,
        ties=ties,
    )
