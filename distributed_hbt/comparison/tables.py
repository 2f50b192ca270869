"""A comparison as tables of text, for whoever prints them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distributed_hbt.comparison.comparison import LEVEL, BenchmarkComparison, Comparison, Figure, Row

BIAS = frozenset({"RD", "Max@R", "MRC", "PEER"})
COUNTED = frozenset({"RD", "Max@R"})
"""Ranks rather than shares: one digit after the point is enough."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """The first column is text, the others are figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables_of(comparison: Comparison, *, by_language: bool = False) -> Iterator[TextTable]:
    """For each benchmark the figures, the differences, the language bias, and on demand every language."""
    for benchmark in comparison.benchmarks:
        yield from _benchmark_tables(comparison, benchmark, by_language)


def row_name(row: Row) -> str:
    """`mono AP`, `mono en AP`; language bias goes by the measure alone."""
    return " ".join(part for part in (row.group, row.language, row.measure) if part)


def number(value: float, measure: str, *, signed: bool = False) -> str:
    """As many digits as the measure deserves."""
    digits = 1 if measure in COUNTED else 4
    return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def probability(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _benchmark_tables(
    comparison: Comparison, benchmark: BenchmarkComparison, by_language: bool
) -> Iterator[TextTable]:
    name = benchmark.benchmark
    parts = [(name, benchmark.summary), (f"{name}: language bias", benchmark.language_bias)]
    if by_language:
        parts.append((f"{name}: by query language", benchmark.by_language))
    for title, rows in parts:
        if rows:
            yield _figures(comparison, title, rows)
        if any(row.differences for row in rows):
            yield _differences(title, rows)


def _figures(comparison: Comparison, title: str, rows: Sequence[Row]) -> TextTable:
    """A line a system, with a letter; a figure carries the letters of the systems that it is better than."""
    letters = {system.name: chr(ord("a") + i % 26) for i, system in enumerate(comparison.systems)}
    lines = []
    for system in comparison.systems:
        figures = [_figure(row, system.name, letters) for row in rows]
        if any(figures):
            lines.append((f"{letters[system.name]}  {system.name}{_seeds(len(system.runs))}", *figures))
    note = (
        f"Letters: significantly better than those systems (Holm, {LEVEL}). In brackets: 95% interval, over "
        "seeds where there are several, else over queries."
    )
    return TextTable(title, ("system", *(_column(row) for row in rows)), tuple(lines), note)


def _column(row: Row) -> str:
    return row.measure if row.language is None and row.measure in BIAS else row_name(row)


def _seeds(count: int) -> str:
    return f" ({count} seeds)" if count > 1 else " (1 seed)"


def _figure(row: Row, system: str, letters: dict[str, str]) -> str:
    figure = row.figures.get(system)
    if figure is None:
        return ""
    return " ".join(part for part in (_interval(figure, row.measure), _beaten(row, system, letters)) if part)


def _interval(figure: Figure, measure: str) -> str:
    text = number(figure.mean, measure)
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{number(figure.low, measure)}, {number(figure.high, measure)}]"


def _beaten(row: Row, system: str, letters: dict[str, str]) -> str:
    beaten = []
    for difference in row.differences:
        if difference.is_significant and system in (difference.one, difference.other):
            other_is_better = (difference.mean > 0) == row.higher_is_better
            if (system == difference.other) == other_is_better:
                loser = difference.one if system == difference.other else difference.other
                beaten.append(letters[loser])
    return "".join(sorted(beaten))


def _differences(title: str, rows: Sequence[Row]) -> TextTable:
    lines = [
        (
            f"{_column(row)}: {one.other} - {one.one}",
            f"{number(one.mean, row.measure, signed=True)} "
            f"[{number(one.low, row.measure, signed=True)}, {number(one.high, row.measure, signed=True)}]",
            probability(one.p_randomisation),
            probability(one.p_t),
            "" if one.p_seeds is None else probability(one.p_seeds),
            probability(one.p_holm),
            f"{one.effect_size:+.2f}",
            f"{one.wins}/{one.losses}/{one.ties}",
            "yes" if one.is_significant else "not significant",
        )
        for row in rows
        for one in row.differences
    ]
    header = (
        *("difference", "mean [95%]", "p random.", "p t", "p seeds", "p Holm"),
        *("effect", "wins/losses/ties", "different"),
    )
    note = (
        f"p random. and p t: these trained models, other queries. p seeds: other seeds and other queries; it "
        "decides where there are several seeds (a system with one is taken to vary as the other does). "
        f"p Holm: corrected over the {len(lines)} tests of this table. Wins: queries on which the first "
        "one is better."
    )
    return TextTable(f"{title}: differences", header, tuple(lines), note)
