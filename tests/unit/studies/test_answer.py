"""Sentences that say what the tests say, and no more."""

from dataclasses import replace

from distributed_hbt.comparison.comparison import (
    BenchmarkComparison,
    Comparison,
    Difference,
    Figure,
    Row,
    Run,
    System,
)
from distributed_hbt.config.study import StudyConfig
from distributed_hbt.studies.answer import answer_of, as_text, limits_of
from distributed_hbt.studies.curve import Curve, Estimate

STUDY = StudyConfig.model_validate(
    {
        "name": "s",
        "question": "Is b better than a?",
        "run": "run.yaml",
        "vary": {"x": {"values": {"a": {}, "b": {}}}},
        "seeds": (1, 2, 3),
        "measures": ("multi:RD",),
        "limits": ("Only tiny models.",),
    }
)
DIFFERENCE = Difference("a", "b", -50.0, -70.0, -30.0, 0.001, 0.001, 0.01, 0.01, 0.02, -0.5, 9, 1, 0)


def comparison(difference: Difference, *, higher_is_better: bool = False) -> Comparison:
    figures = {name: Figure(mean, None, None, (mean,), 10) for name, mean in (("a", 200.0), ("b", 150.0))}
    row = Row("multi", None, "RD", higher_is_better, figures, (difference,))
    systems = tuple(System(name, (Run(f"{name}-1", 1, 5, None),), {}) for name in ("a", "b"))
    benchmark = BenchmarkComparison("xquad_r", (row,), (), (), {}, {})
    return Comparison(systems, None, (benchmark,), ())


def test_a_significant_difference_names_the_better_system() -> None:
    """Lower rank distance is better; of other measures the higher one."""
    [finding] = answer_of(STUDY, comparison(DIFFERENCE), {}).findings
    assert finding.about == "xquad_r, multi RD"
    assert finding.says == "b 150.0, a 200.0: b is better, by 50.0 ([-70.0, -30.0], p = 0.0200 corrected)."
    [other] = answer_of(STUDY, comparison(DIFFERENCE, higher_is_better=True), {}).findings
    assert "a is better" in other.says


def test_a_difference_that_is_not_significant_is_no_finding_either_way() -> None:
    not_told = comparison(replace(DIFFERENCE, p_holm=0.2))
    [finding] = answer_of(STUDY, not_told, {}).findings
    assert "no difference can be told" in finding.says
    assert "better" not in finding.says
    text = " ".join(limits_of(STUDY, not_told).paragraphs)
    assert "1 of the differences above are not significant" in text


def test_limits_are_the_studys_own_and_those_of_its_seeds() -> None:
    paragraphs = limits_of(STUDY, comparison(DIFFERENCE)).paragraphs
    assert paragraphs[0] == "Only tiny models."
    assert any(paragraph.startswith("3 seeds:") for paragraph in paragraphs)
    one_seed = STUDY.model_copy(update={"seeds": (1,)})
    assert any(p.startswith("One seed:") for p in limits_of(one_seed, comparison(DIFFERENCE)).paragraphs)


def test_curves_come_with_their_intervals() -> None:
    curve = Curve((), (), (), (), (Estimate("best value", 0.5, 0.25, 0.75),), 0.9)
    section = answer_of(STUDY, comparison(DIFFERENCE), {("xquad_r", "small", "mono:AP"): curve})
    assert section.findings[0].about == "curve of xquad_r, small, mono AP"
    assert section.findings[0].says == "best value 0.5 [0.25, 0.75]; R² 0.90."
    assert "- curve of xquad_r, small, mono AP: best value 0.5" in as_text([section])
