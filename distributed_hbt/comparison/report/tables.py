"""Tables of figures and of differences."""

from collections.abc import Iterable, Sequence

from distributed_hbt.comparison.comparison import Comparison, Difference, Row, System
from distributed_hbt.comparison.report import numbers
from distributed_hbt.comparison.report.content import Cell, Table, Verdict
from distributed_hbt.comparison.report.rows import best, difference, is_better, row_name


def figures(
    rows: Sequence[Row], systems: Sequence[str], baseline: str | None, caption: str, explanation: str = ""
) -> Table:
    """A line a row: every system's mean, its interval, and what it is against the baseline."""
    has_language = any(row.language for row in rows)
    return Table(
        caption,
        (*(("language",) if has_language else ()), "measure", *systems),
        tuple(
            (
                *((Cell(row.language or "all"),) if has_language else ()),
                Cell(row_name(row), notes=() if row.higher_is_better else ("lower is better",)),
                *(_figure(row, name, baseline) for name in systems),
            )
            for row in rows
        ),
        headers=2 if has_language else 1,
        explanation=explanation,
    )


def differences(rows: Sequence[Row], caption: str, explanation: str = "") -> Table | None:
    """A line a tested pair; None without any."""
    has_language = any(row.language for row in rows)
    lines = tuple(_difference(row, found, has_language) for row in rows for found in row.differences)
    if not lines:
        return None
    return Table(
        caption,
        (
            *(("language",) if has_language else ()),
            *("measure", "compared", "difference", "95% interval", "p (Holm)", "p", "effect size"),
            *("wins", "losses", "ties", "verdict"),
        ),
        lines,
        headers=3 if has_language else 2,
        explanation=explanation,
    )


def configuration(systems: Sequence[System]) -> Table | None:
    """Fields in which systems differ; None where none are known."""
    fields = dict.fromkeys(field for system in systems for field in system.configuration)
    if not fields:
        return None
    return Table(
        "Configuration: the fields in which the systems differ",
        ("field", *(system.name for system in systems)),
        tuple((Cell(field), *(Cell(_setting(system, field)) for system in systems)) for field in fields),
    )


def runs(comparison: Comparison) -> Table:
    """Which run stands for which system and seed."""
    lines = [
        (
            Cell(run.name),
            Cell(system.name, notes=("baseline",) if system.name == comparison.baseline else ()),
            Cell("not known" if run.seed is None else str(run.seed)),
            _whole(run.step),
            Cell(run.mlflow_run or numbers.NOTHING),
        )
        for system in comparison.systems
        for run in system.runs
    ]
    return Table("Runs", ("run", "system", "seed", "step", "run in MLflow"), tuple(lines))


def _whole(value: int | None) -> Cell:
    return Cell("not known") if value is None else Cell(numbers.count(value), value)


def _setting(system: System, field: str) -> str:
    value = system.configuration.get(field)
    return "not set" if value is None else str(value)


def decimals(row: Row) -> int:
    return numbers.decimals_for(figure.mean for figure in row.figures.values())


def _figure(row: Row, name: str, baseline: str | None) -> Cell:
    if name not in row.figures:
        return Cell(numbers.NOTHING)
    figure, places = row.figures[name], decimals(row)
    notes = [numbers.interval(figure.low, figure.high, places)]
    found = difference(row, baseline, name) if baseline and baseline != name else None
    text = numbers.figure(figure.mean, places)
    return Cell(
        *(text, figure.mean, tuple(note for note in notes if note)),
        is_best=name in best(row),
        verdict=verdict(row, found) if found else None,
    )


def verdict(row: Row, found: Difference) -> Verdict:
    if not found.is_significant:
        return "not significant"
    return "better" if is_better(row, found) else "worse"


def _difference(row: Row, found: Difference, has_language: bool) -> tuple[Cell, ...]:
    places = decimals(row)
    return (
        *((Cell(row.language or "all"),) if has_language else ()),
        Cell(row_name(row), notes=() if row.higher_is_better else ("lower is better",)),
        Cell(f"{found.other} {numbers.MINUS} {found.one}"),
        Cell(numbers.signed(found.mean, places), found.mean),
        Cell(numbers.interval(found.low, found.high, places)),
        Cell(numbers.p_value(found.p_holm), found.p_holm),
        Cell(numbers.p_value(found.p), found.p),
        Cell(numbers.signed(found.effect_size, 2), found.effect_size),
        *(Cell(numbers.count(count), count) for count in (found.wins, found.losses, found.ties)),
        Cell("", verdict=verdict(row, found)),
    )


def seeds(systems: Iterable[System]) -> str:
    """What the number of seeds allows to say."""
    counts = {system.name: len(system.runs) for system in systems}
    single = [name for name, count in counts.items() if count == 1]
    if not single:
        return "Several seeds a system: intervals are over seeds (t), tests respect both seeds and queries."
    if len(single) == len(counts):
        return (
            "One seed a system. Intervals are over queries (bootstrap), tests are paired over queries: they "
            "speak of these trained models, not of what training with another seed would give."
        )
    return (
        f"One seed alone: {', '.join(single)}. There intervals are over queries (bootstrap), elsewhere over "
        "seeds (t); in a test against several seeds, a system with one is taken to vary as the other does."
    )
