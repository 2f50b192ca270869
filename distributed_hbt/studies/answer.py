"""What a study's runs say to its question, in sentences that follow from the tests."""

from collections.abc import Iterator, Sequence

from distributed_hbt.comparison.comparison import LEVEL, Comparison, Difference, Row
from distributed_hbt.comparison.report.content import Finding, Section
from distributed_hbt.comparison.tables import number, probability, row_name
from distributed_hbt.config.study import StudyConfig
from distributed_hbt.studies.curve import Curve

Curves = dict[tuple[str, str, str], Curve]
"""(benchmark, system group or "", GROUP:MEASURE) -> curve."""


def answer_of(study: StudyConfig, comparison: Comparison, curves: Curves) -> Section:
    """The question, a sentence a tested difference and curve, and what can not be concluded."""
    return Section(
        heading="The answer",
        paragraphs=(study.question, _basis(comparison)),
        findings=(
            *_curve_findings(curves),
            *(
                Finding(f"{benchmark.benchmark}, {row_name(row)}", _difference(row, difference))
                for benchmark in comparison.benchmarks
                for row in benchmark.summary
                for difference in row.differences
            ),
        ),
    )


def limits_of(study: StudyConfig, comparison: Comparison) -> Section:
    """What the study can not conclude: its own limits, and those that its size sets."""
    return Section(heading="What this does not show", paragraphs=(*study.limits, *_limits(study, comparison)))


def as_text(sections: Sequence[Section]) -> str:
    """The same for a terminal."""
    lines = []
    for section in sections:
        if not (section.paragraphs or section.findings):
            continue
        lines += [section.heading, "-" * len(section.heading), *section.paragraphs]
        lines += [f"- {finding.about}: {finding.says}" for finding in section.findings]
        lines.append("")
    return "\n".join(lines)


def _basis(comparison: Comparison) -> str:
    runs = sum(len(system.runs) for system in comparison.systems)
    return (
        f"{len(comparison.systems)} systems, {runs} runs; tests at {LEVEL}, corrected (Holm) over each table."
    )


def _difference(row: Row, difference: Difference) -> str:
    one, other = row.figures[difference.one], row.figures[difference.other]
    change = number(abs(difference.mean), row.measure)
    interval = (
        f"[{number(difference.low, row.measure, signed=True)}, "
        f"{number(difference.high, row.measure, signed=True)}]"
    )
    p = (
        f"p {probability(difference.p_holm)}"
        if difference.p_holm < 0.0001
        else f"p = {difference.p_holm:.4f}"
    )
    names = (
        f"{difference.other} {number(other.mean, row.measure)}, "
        f"{difference.one} {number(one.mean, row.measure)}"
    )
    if not difference.is_significant:
        return f"{names}: no difference can be told ({interval}, {p} corrected)."
    better = (difference.mean > 0) == row.higher_is_better
    winner = difference.other if better else difference.one
    return f"{names}: {winner} is better, by {change} ({interval}, {p} corrected)."


def _curve_findings(curves: Curves) -> Iterator[Finding]:
    for (benchmark, group, measure), curve in curves.items():
        parts = [
            f"{estimate.name} {estimate.value:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"
            for estimate in curve.estimates
        ]
        about = ", ".join(part for part in (benchmark, group, measure.replace(":", " ")) if part)
        yield Finding(f"curve of {about}", f"{'; '.join(parts)}; R² {curve.explained:.2f}.")


def _limits(study: StudyConfig, comparison: Comparison) -> Iterator[str]:
    if len(study.seeds) == 1:
        yield "One seed: another one may turn any of these differences round."
    elif len(study.seeds) < 5:
        yield (
            f"{len(study.seeds)} seeds: an interval over so few is wide, and a difference that is not "
            "significant may well be there."
        )
    open_ones = [
        difference
        for benchmark in comparison.benchmarks
        for row in benchmark.summary
        for difference in row.differences
        if not difference.is_significant
    ]
    if open_ones:
        yield (
            f"{len(open_ones)} of the differences above are not significant. That is no proof of equality: "
            "their intervals say how large a difference may be."
        )
    yield "Nothing here says what models of another size, or other training data, would do."
