"""From run directories to a comparison, on literal values."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from distributed_hbt.comparison.compare import compare
from distributed_hbt.comparison.comparison import Comparison, Row
from distributed_hbt.comparison.results import read_evaluation, read_run
from distributed_hbt.comparison.systems import group_runs
from distributed_hbt.errors import ConfigError, DataError
from tests.run_files import language_task, lareqa_tasks, write_run

RANDOM = np.random.default_rng(2)
DE, EN = RANDOM.random(40).tolist(), RANDOM.random(40).tolist()


def shifted(values: list[float], by: float, seed: int) -> list[float]:
    return (np.array(values) + by + np.random.default_rng(seed).normal(0, 0.1, len(values))).tolist()


def run(folder: Path, strategy: str, seed: int, by: float) -> Path:
    salt = seed + 100 * len(strategy)
    tasks = lareqa_tasks(
        {"de": shifted(DE, by, salt), "en": shifted(EN, by, salt + 1)}, {"de-en": DE, "en-de": EN}
    )
    return write_run(folder / f"{strategy}-{seed}", {"xquad_r": tasks}, seed=seed, strategy=strategy)


def compared(*directories: Path, baseline: str | None = None) -> Comparison:
    return compare(group_runs([read_run(directory) for directory in directories]), baseline=baseline)


def row(comparison: Comparison, group: str, measure: str = "AP") -> Row:
    [found] = [
        one for one in comparison.benchmarks[0].summary if (one.group, one.measure) == (group, measure)
    ]
    return found


def test_one_seed_each_equals_scipys_paired_test_over_questions(tmp_path: Path) -> None:
    """A question in two languages is one observation: 40, not 80."""
    one, other = run(tmp_path, "x_y", 13, 0.0), run(tmp_path, "hybrid", 13, 0.02)
    found = row(compared(one, other), "mono")
    values = {}
    for directory in (one, other):
        tasks = read_run(directory).benchmarks["xquad_r"].observations().values
        of = [list(tasks[f"mono/{language}", "AP"].values()) for language in ("de", "en")]
        values[directory.name] = np.mean(of, axis=0)
    expected = stats.ttest_rel(values["hybrid-13"], values["x_y-13"])
    [difference] = found.differences
    assert (difference.one, difference.other) == ("x_y-13", "hybrid-13")
    assert difference.p_t == pytest.approx(expected.pvalue, rel=1e-9)
    assert difference.mean == pytest.approx(values["hybrid-13"].mean() - values["x_y-13"].mean())
    assert difference.p_seeds is None
    assert difference.p == difference.p_randomisation
    assert difference.wins + difference.losses + difference.ties == 40
    assert found.figures["x_y-13"].num_queries == 40
    assert found.figures["x_y-13"].low < found.figures["x_y-13"].mean < found.figures["x_y-13"].high


def test_means_are_those_of_the_summaries(tmp_path: Path) -> None:
    directory = run(tmp_path, "hybrid", 13, 0.02)
    summary = json.loads(
        (directory / "evaluation" / "step-00000100" / "xquad_r" / "summary.json").read_text()
    )
    comparison = compared(directory)
    for group in ("mono", "cross"):
        figure = row(comparison, group).figures["hybrid-13"]
        assert figure.mean == pytest.approx(summary["aggregates"][group]["AP"], abs=1e-12)


def test_runs_that_differ_in_the_seed_alone_are_one_system(tmp_path: Path) -> None:
    """Catches means over runs of two systems, and a figure of which only one seed counts."""
    runs = [run(tmp_path, strategy, seed, 0.0) for strategy in ("x_y", "hybrid") for seed in (13, 14, 15)]
    comparison = compared(*runs)
    assert [system.name for system in comparison.systems] == ["x_y", "hybrid"]
    assert [one.seed for one in comparison.systems[0].runs] == [13, 14, 15]
    assert comparison.systems[1].configuration == {"sampling.strategy": "hybrid"}
    figure = row(comparison, "mono").figures["hybrid"]
    totals = [row(compared(directory), "mono").figures[directory.name].mean for directory in runs[3:]]
    assert figure.of_seeds == pytest.approx(totals)
    half = stats.t.ppf(0.975, 2) * np.std(totals, ddof=1) / np.sqrt(3)
    assert (figure.low, figure.high) == pytest.approx((np.mean(totals) - half, np.mean(totals) + half))
    [difference] = row(comparison, "mono").differences
    assert difference.p == difference.p_seeds


def test_holm_counts_every_test_of_the_table(tmp_path: Path) -> None:
    """Two figures, mono and cross AP and R@1: four tests of one pair, the same pair twice."""
    comparison = compared(run(tmp_path, "x_y", 13, 0.0), run(tmp_path, "hybrid", 13, 0.03))
    family = [one for line in comparison.benchmarks[0].summary for one in line.differences]
    assert len(family) == 4
    smallest = min(family, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 4 * smallest.p))


def test_equal_systems_are_not_different(tmp_path: Path) -> None:
    tasks = lareqa_tasks({"de": DE, "en": EN}, {})
    runs = [
        write_run(tmp_path / name, {"xquad_r": tasks}, alpha=alpha)
        for name, alpha in (("a", 0.1), ("b", 0.2))
    ]
    [difference] = row(compared(*runs), "mono").differences
    assert (difference.mean, difference.p_holm, difference.ties) == (0.0, 1.0, 40)
    assert not difference.is_significant


def test_a_baseline_is_compared_with_each_of_the_others(tmp_path: Path) -> None:
    runs = [run(tmp_path, strategy, 13, 0.0) for strategy in ("x_y", "hybrid", "x_x")]
    found = row(compared(*runs, baseline="hybrid-13"), "mono")
    assert [(one.one, one.other) for one in found.differences] == [
        ("hybrid-13", "x_y-13"),
        ("hybrid-13", "x_x-13"),
    ]
    with pytest.raises(ConfigError, match="--baseline: nobody is no system"):
        compared(*runs, baseline="nobody")


def test_languages_of_miracl_are_strata(tmp_path: Path) -> None:
    """Two languages with 10 and 40 topics of the same ids: macro mean, ids are told apart by language."""
    sw, th = RANDOM.random(10).tolist(), RANDOM.random(40).tolist()
    runs = [
        write_run(
            tmp_path / name,
            {"miracl": [language_task("sw", shifted(sw, by, 1)), language_task("th", shifted(th, by, 2))]},
            alpha=alpha,
            about={"languages": ["sw", "th"]},
        )
        for name, alpha, by in (("a", 0.1, 0.0), ("b", 0.2, 0.1))
    ]
    comparison = compared(*runs)
    [figure] = [row(comparison, "mean", "nDCG@10").figures["a"]]
    assert figure.num_queries == 50
    assert figure.mean == pytest.approx((np.mean(shifted(sw, 0, 1)) + np.mean(shifted(th, 0, 2))) / 2)
    by_language = comparison.benchmarks[0].by_language
    assert [(one.group, one.language) for one in by_language] == [("mean", "sw"), ("mean", "th")]
    assert by_language[0].differences[0].wins == 10


def test_cells_hold_the_mean_of_each_pair_of_languages(tmp_path: Path) -> None:
    comparison = compared(run(tmp_path, "hybrid", 13, 0.0))
    cells = comparison.benchmarks[0].cells["hybrid-13"]
    assert cells["de"]["en"] == pytest.approx(np.mean(DE))
    assert cells["de"].keys() == cells["en"].keys() == {"de", "en"}


def test_the_training_log_counts_kinds_and_languages(tmp_path: Path) -> None:
    [log] = compared(run(tmp_path, "hybrid", 13, 0.0)).training
    assert (log.run, log.system, log.steps, log.loss) == ("hybrid-13", "hybrid-13", (1, 2), (4.0, 2.0))
    assert log.kinds == {"mono": 1, "cross": 1}
    assert log.languages == {"de": 1, "en": 2}


def test_runs_evaluated_otherwise_are_refused(tmp_path: Path) -> None:
    """Half the articles against all of them is no comparison."""
    tasks = {"xquad_r": lareqa_tasks({"de": DE}, {})}
    one = write_run(tmp_path / "a", tasks, alpha=0.1, about={"article_range": None})
    other = write_run(tmp_path / "b", tasks, alpha=0.2, about={"article_range": [38, 48]})
    with pytest.raises(ConfigError, match=r"b was evaluated with article_range \[38, 48\], a with None"):
        compared(one, other)


def test_runs_with_other_queries_are_refused(tmp_path: Path) -> None:
    one = write_run(tmp_path / "a", {"xquad_r": lareqa_tasks({"de": DE}, {})}, alpha=0.1)
    other = write_run(tmp_path / "b", {"xquad_r": lareqa_tasks({"de": DE[:-1]}, {})}, alpha=0.2)
    with pytest.raises(DataError, match="has other queries than"):
        compared(one, other)


def test_two_runs_of_one_seed_are_refused(tmp_path: Path) -> None:
    tasks = {"xquad_r": lareqa_tasks({"de": DE}, {})}
    runs = [write_run(tmp_path / name, tasks) for name in ("first", "again")]
    with pytest.raises(ConfigError, match="first and again are runs of one configuration and seed 13"):
        compared(*runs)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    directory = run(tmp_path, "hybrid", 13, 0.0)
    [path] = directory.rglob("per_query.parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"per_query\.parquet: can not be read"):
        compared(directory)


def test_a_damaged_step_is_named(tmp_path: Path) -> None:
    directory = run(tmp_path, "hybrid", 13, 0.0)
    (directory / "train.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(DataError, match=r"train\.jsonl:1: is no line of a step"):
        compared(directory)


def test_a_comparison_is_json(tmp_path: Path) -> None:
    """Catches what JSON has no word for, and a verdict that the numbers do not give."""
    comparison = compared(run(tmp_path, "x_y", 13, 0.0), run(tmp_path, "hybrid", 13, 0.3))
    content = json.loads(json.dumps(comparison.as_json(), allow_nan=False))
    difference = content["benchmarks"][0]["summary"][0]["differences"][0]
    assert difference["significant"] is True
    assert content["systems"][0]["runs"][0]["seed"] == 13


def test_an_evaluation_that_stands_by_itself_is_a_system(tmp_path: Path) -> None:
    directory = run(tmp_path, "hybrid", 13, 0.0)
    alone = read_evaluation(directory / "evaluation" / "step-00000100", "untrained")
    comparison = compare(group_runs([alone, read_run(directory)]))
    assert [system.name for system in comparison.systems] == ["untrained", "hybrid-13"]
    assert comparison.systems[0].configuration == {}
