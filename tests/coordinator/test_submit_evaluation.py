"""Evaluation of a submitted run, beside its training and after it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.conftest import EVERY, RUN, STEPS, Submit
from tests.coordinator.submitted import checkpoints, error_lines, losses, mlflow_run
from tests.distributed.run_for_tests import write_run
from tests.lareqa_files import write_lareqa

DUE = [60, 120]


@pytest.fixture
def benchmarks(tmp_path: Path) -> list[dict[str, Any]]:
    """The second one has a file that can not be read, until it is repaired."""
    good = write_lareqa(tmp_path / "tiny", ["de", "en"])
    broken = {**write_lareqa(tmp_path / "broken", ["de", "en"]), "label": "broken"}
    (tmp_path / "broken" / "en.json").write_text('{"data": [{}]}', encoding="utf-8")
    return [good, broken]


def summary(directory: Path, step: int, label: str) -> Path:
    return directory / "evaluation" / f"step-{step:08d}" / label / "summary.json"


def test_failed_evaluation_does_not_touch_the_training_and_is_made_good_later(
    submit_to_head: Submit, whole_losses: list[float], benchmarks: list[dict[str, Any]], tmp_path: Path
) -> None:
    """A week of training that ends because of a benchmark's file; results that are computed twice, or are
    missing in MLflow. First by an actor beside the training, then by the coordinator itself."""
    run_file = write_run(tmp_path, **RUN, evaluation={"every": DUE[0], "benchmarks": benchmarks})
    run = submit_to_head("evaluated", "cluster.evaluation_actors=1", run_file=run_file)
    assert run.exit_code() == 1
    (line,) = error_lines(run.log)
    assert f"{benchmarks[1]['root']}/en.json" in line
    assert losses(run.directory) == whole_losses
    assert checkpoints(run.directory) == list(range(EVERY, STEPS + 1, EVERY))
    assert all(summary(run.directory, step, "tiny").exists() for step in DUE)
    assert mlflow_run(run.directory).info.status == "FAILED"

    written = [summary(run.directory, step, "tiny").stat().st_mtime_ns for step in DUE]
    write_lareqa(Path(benchmarks[1]["root"]), ["de", "en"])
    again = submit_to_head("evaluated", "cluster.evaluation_actors=0", run_file=run_file)
    assert again.exit_code() == 0, again.log
    assert [summary(run.directory, step, "tiny").stat().st_mtime_ns for step in DUE] == written
    found = mlflow_run(run.directory)
    assert found.info.status == "FINISHED"
    for label in ("tiny", "broken"):
        measured = json.loads(summary(run.directory, DUE[-1], label).read_text())["aggregates"]["mono"]["AP"]
        assert found.data.metrics[f"{label}/mono/AP"] == measured
