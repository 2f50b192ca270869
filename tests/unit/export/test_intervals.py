"""Intervals over queries."""

from pathlib import Path

import numpy as np
import pytest

from distributed_hbt.comparison.observations import Observations, read_observations
from distributed_hbt.evaluation.aggregates import TaskResult
from distributed_hbt.evaluation.results import write_results
from distributed_hbt.export.intervals import intervals


def observed(folder: Path, values: dict[str, dict[str, float]]) -> Observations:
    """task -> query_id -> AP."""
    results = []
    for task, of_query in values.items():
        kind = task.partition("/")[0] if "/" in task else "language"
        measures = dict.fromkeys(("AP", "R@1", "R@10", "nDCG@10", "RR@10"), of_query)
        results.append(TaskResult(task, kind, measures))  # type: ignore[arg-type]
    about = {"benchmark": "b", "languages": ["de", "en", "fr"]}
    write_results(folder, results, about)
    return read_observations(folder, about)


def test_the_interval_of_a_mean_has_the_width_that_statistics_gives(tmp_path: Path) -> None:
    """Intervals of values in place of those of their mean."""
    values = np.random.default_rng(1).uniform(size=400)
    found = observed(tmp_path, {"ar": {f"q{i}": value for i, value in enumerate(values)}})
    low, high = intervals(found, [("mean", "AP")])["mean", "AP"]
    error = values.std() / np.sqrt(len(values))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.2 * error)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_question_is_drawn_for_all_its_tasks_and_languages_at_once(tmp_path: Path) -> None:
    """Tasks that share their questions, counted as if they had questions of their own: intervals too narrow,
    or, where one task's gain is the other one's loss, far too wide."""
    share = np.random.default_rng(2).uniform(size=50)
    one = {f"en:{i}": value for i, value in enumerate(share)}
    other = {f"de:{i}": 1 - value for i, value in enumerate(share)}
    tasks = {"cross/en-de": one, "cross/de-en": other, "mono/en": one}
    found = intervals(
        observed(tmp_path, tasks), [("cross", "AP"), ("mono", "AP"), ("multi", "AP"), ("peer", "")]
    )
    assert found["cross", "AP"] == pytest.approx((0.5, 0.5))
    low, high = found["mono", "AP"]
    assert high - low > 0.1
    assert found.keys() == {("cross", "AP"), ("mono", "AP")}  # no value a query, no interval


def test_a_small_task_weighs_as_much_as_a_large_one(tmp_path: Path) -> None:
    """The mean over languages taken for the mean over queries."""
    small = {f"{i}": 1.0 for i in range(10)}
    large = {f"{i}": 0.0 for i in range(90)}
    found = intervals(observed(tmp_path, {"de": small, "en": large}), [("mean", "AP")])
    assert found["mean", "AP"] == pytest.approx((0.5, 0.5))
