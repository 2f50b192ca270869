"""Finding one's way in the rows of a comparison, and their names for people."""

from collections.abc import Iterable, Sequence

from distributed_hbt.comparison.comparison import Difference, Row

_MEASURES = {"rank_distance": "rank distance", "RD": "rank distance"}
_BENCHMARKS = {"xquad_r": "XQuAD-R", "mlqa_r": "MLQA-R", "miracl": "MIRACL", "mr_tydi": "Mr. TyDi"}
_OF_BIAS = ("rank distance", "PEER", "Max@R", "MRC")  # of the multilingual task, whatever the group
Key = tuple[str, str]
"""Group and measure."""


def measure_name(measure: str) -> str:
    return _MEASURES.get(measure, measure.replace("_", " "))


def benchmark_name(benchmark: str) -> str:
    return _BENCHMARKS.get(benchmark, benchmark)


def row_name(row: Row) -> str:
    """As "cross AP"; measures of language bias by their name alone."""
    measure = measure_name(row.measure)
    return measure if measure in _OF_BIAS else f"{row.group} {measure}"


def find(rows: Iterable[Row], group: str, measure: str) -> Row | None:
    return next((row for row in rows if (row.group, row.measure) == (group, measure)), None)


def by_measure(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    """Rows of one group and measure together, in order of appearance."""
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault((row.group, row.measure), []).append(row)
    return found


def best(row: Row) -> set[str]:
    """The systems with the best mean; none where there is nothing to be better than, or nothing that can be
    tested."""
    if len(row.figures) < 2 or not row.differences:
        return set()
    choose = max if row.higher_is_better else min
    mean = choose(figure.mean for figure in row.figures.values())
    return {name for name, figure in row.figures.items() if figure.mean == mean}


def difference(row: Row, one: str, other: str) -> Difference | None:
    """Of this pair, whichever way round it was taken."""
    pairs = ({one, other} == {d.one, d.other} and d for d in row.differences)
    return next((found for found in pairs if found), None)


def is_better(row: Row, found: Difference) -> bool:
    """Whether `other` has the better mean."""
    return (found.mean > 0) == row.higher_is_better


def marked(row: Row, baseline: str | None) -> set[str]:
    """Systems that differ significantly: from the baseline, or without one from every other system."""
    names = set(row.figures)
    if baseline is not None:
        against = {name: [difference(row, baseline, name)] for name in names - {baseline}}
    else:
        against = {name: [difference(row, name, other) for other in names - {name}] for name in names}
    return {name for name, found in against.items() if found and all(d and d.is_significant for d in found)}
