"""`train.profile_steps`: a trace, and where the time of a step goes."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.submitted import mlflow_run
from tests.distributed.run_for_tests import write_run

PHASES = {
    "plain": ["data", "forward", "gather", "loss", "backward", "optimizer"],
    "cached": ["data", "forward without gradient", "gather", "loss", "forward", "backward", "optimizer"],
}


@pytest.mark.parametrize("gradient", PHASES)
def test_profile_shows_where_the_time_goes(programs: Any, tmp_path: Path, gradient: str) -> None:
    """A profile of other steps, of no collective, or that is lost; a run that it changes."""
    import mlflow

    run_file = write_run(tmp_path, train={"max_steps": 6, "gradient": gradient})
    done = programs.run(*programs.torchrun(run_file, ["train.profile_steps=[2,4]"]))
    assert done.returncode == 0, done.stderr
    directory = tmp_path / "runs" / "tiny"
    profile = directory / "profile"
    times = json.loads((profile / "times.json").read_text())
    lines = [json.loads(line) for line in (directory / "train.jsonl").read_text().splitlines()]
    assert times["steps"] == 2
    assert times["seconds"]["step"] == pytest.approx((lines[2]["seconds"] + lines[3]["seconds"]) / 2)
    assert list(times["seconds"]) == [*PHASES[gradient], "rest", "step"]
    assert all(seconds > 0 for seconds in times["seconds"].values())
    assert times["collectives"] > 0
    trace = json.loads(gzip.decompress((profile / "trace.json.gz").read_bytes()))
    named = [event["name"] for event in trace["traceEvents"] if event.get("cat") == "user_annotation"]
    assert named.count("hbt: optimizer") == 2
    assert (profile / "times.txt").read_text().startswith("mean of 2 steps of rank 0")
    run = mlflow_run(directory)
    uri = json.loads((directory / "mlflow.json").read_text())["tracking_uri"]
    kept = mlflow.MlflowClient(uri).list_artifacts(run.info.run_id, "profile")
    assert sorted(Path(file.path).name for file in kept) == ["times.json", "times.txt", "trace.json.gz"]
