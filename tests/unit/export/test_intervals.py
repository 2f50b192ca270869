"""Intervals over queries."""

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from distributed_hbt.export.intervals import intervals


def write(folder: Path, values: dict[str, dict[str, float]], measure: str = "AP") -> Path:
    """task -> query_id -> value."""
    rows = [
        {"task": task, "query_id": query, "measure": measure, "value": value}
        for task, of_query in values.items()
        for query, value in of_query.items()
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "per_query.parquet")
    return folder / "per_query.parquet"


def test_the_interval_of_a_mean_has_the_width_that_statistics_gives(tmp_path: Path) -> None:
    """Intervals of values in place of those of their mean."""
    values = np.random.default_rng(1).uniform(size=400)
    path = write(tmp_path, {"ar": {f"q{i}": value for i, value in enumerate(values)}})
    low, high = intervals(path, [("mean", "AP")])["mean", "AP"]
    error = values.std() / np.sqrt(len(values))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.2 * error)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_query_is_drawn_for_all_its_tasks_at_once(tmp_path: Path) -> None:
    """Tasks that share their queries, counted as if they had queries of their own: intervals too narrow, or,
    where one task's gain is the other one's loss, far too wide."""
    share = np.random.default_rng(2).uniform(size=50)
    one = {f"en:{i}": value for i, value in enumerate(share)}
    other = {query: 1 - value for query, value in one.items()}
    path = write(tmp_path, {"cross/en-de": one, "cross/en-fr": other, "mono/en": one})
    found = intervals(path, [("cross", "AP"), ("mono", "AP"), ("multi", "AP"), ("cross", "R@1")])
    assert found["cross", "AP"] == pytest.approx((0.5, 0.5))
    low, high = found["mono", "AP"]
    assert high - low > 0.1
    assert found.keys() == {("cross", "AP"), ("mono", "AP")}  # no value a query, no interval


def test_a_small_task_weighs_as_much_as_a_large_one_and_pool_weighs_queries(tmp_path: Path) -> None:
    """The mean over languages taken for the mean over queries."""
    small = {f"de:{i}": 1.0 for i in range(10)}
    large = {f"en:{i}": 0.0 for i in range(90)}
    found = intervals(
        write(tmp_path, {"multi/de": small, "multi/en": large}), [("multi", "AP"), ("pool", "AP")]
    )
    assert found["multi", "AP"] == pytest.approx((0.5, 0.5))
    low, high = found["pool", "AP"]
    assert low < 0.1 < high


def test_the_same_file_gives_the_same_interval(tmp_path: Path) -> None:
    """Two exports of one checkpoint that differ."""
    path = write(tmp_path, {"sw": {f"q{i}": i / 30 for i in range(30)}})
    assert intervals(path, [("mean", "AP")]) == intervals(path, [("mean", "AP")])
