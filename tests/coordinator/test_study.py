"""`hbt study`: killed in the middle, started again, answered; runs at the same time."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from tests.coordinator.submitted import SECONDS_UNTIL_HUNG
from tests.distributed.run_for_tests import write_run
from tests.lareqa_files import write_lareqa
from tests.programs import Programs

STEPS = 6


def write_study(folder: Path) -> Path:
    """Two alphas, two seeds, from an encoder that is trained first; one rank a run, two runs at once."""
    benchmark = write_lareqa(folder / "tiny", ["de", "en"])
    write_run(
        folder,
        train={"max_steps": STEPS, "checkpoint_every": STEPS},
        evaluation={"benchmarks": [benchmark]},
        cluster={"num_workers": 1, "gpus_per_worker": 0, "evaluation_actors": 0},
    )
    content = {
        "name": "alphas",
        "question": "Does alpha matter?",
        "run": "run.yaml",
        "output_dir": str(folder / "studies"),
        "first": {"start": {"train.max_steps": 2, "train.checkpoint_every": 2, "evaluation.benchmarks": []}},
        "vary": {
            "from": {
                "values": {
                    "": {"model.base": "{first.start}", "model.architecture": None, "model.tokenizer": None}
                }
            },
            "alpha": {
                "number": "alpha",
                "values": {"0.25": {"sampling.alpha": 0.25}, "1": {"sampling.alpha": 1.0}},
            },
        },
        "seeds": [1, 2],
        "measures": ["mono:AP", "cross:AP"],
        "curve": {"fit": "log_linear", "measures": ["mono:AP"]},
        "limits": ["Nothing at all."],
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def evaluated(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"studies/alphas/runs/*/evaluation/step-{STEPS:08d}/tiny/summary.json"))


def kill_when(programs: Programs, folder: Path, file: Path, count: int) -> None:
    """Kill all of a study once so many of its runs are evaluated."""
    process = programs.start(sys.executable, "-m", "distributed_hbt.cli", "study", file, log=folder / "log")
    deadline = time.monotonic() + SECONDS_UNTIL_HUNG
    while len(evaluated(folder)) < count:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def study(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is there when the study was killed, and when it was started again and has ended."""
    folder = tmp_path_factory.mktemp("study")
    file = write_study(folder)
    kill_when(programs, folder, file, 1)
    before = {path: path.stat().st_mtime_ns for path in evaluated(folder)}
    done = programs.run(sys.executable, "-m", "distributed_hbt.cli", "study", file)
    return {"folder": folder, "file": file, "before": before, "done": done}


def test_a_study_that_was_killed_goes_on_and_answers(study: dict[str, Any]) -> None:
    """Runs that are trained twice, or an answer without some of them."""
    done, folder = study["done"], study["folder"]
    assert done.returncode == 0, done.stderr
    assert len(evaluated(folder)) == 4
    assert {path: path.stat().st_mtime_ns for path in study["before"]} == study["before"]
    for said in ("Does alpha matter?", "gain a doubling", "mono AP: 1 ", "cross AP: 1 ", "Nothing at all."):
        assert said in done.stdout
    report = folder / "studies" / "alphas" / "report"
    assert "Does alpha matter?" in (report / "report.html").read_text()
    systems = json.loads((report / "comparison.json").read_text())["systems"]
    assert [[run["seed"] for run in system["runs"]] for system in systems] == [[1, 2], [1, 2]]
    assert "Parameters and memory by system" in (report / "report.html").read_text()


def test_runs_are_nested_below_the_study(study: dict[str, Any]) -> None:
    """A list of runs in MLflow that says nothing of what they are for; a parent a start."""
    folder = study["folder"] / "studies" / "alphas"
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("alphas").experiment_id
    [parent] = client.search_runs([experiment], "tags.`hbt.kind` = 'study'")
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert parent.info.status == "FINISHED"
    assert {child.info.status for child in children} == {"FINISHED"}
    assert sorted(child.data.tags["system_name"] for child in children) == [
        *("0.25", "0.25", "1", "1", "start")
    ]
    assert "report/report.html" in {one.path for one in client.list_artifacts(parent.info.run_id, "report")}


def test_a_finished_study_trains_nothing(study: dict[str, Any], programs: Programs) -> None:
    command = (sys.executable, "-m", "distributed_hbt.cli", "study", study["file"])
    again = programs.run(*command, "--json")
    assert again.returncode == 0, again.stderr
    assert "starting Ray" not in again.stderr
    assert [system["name"] for system in json.loads(again.stdout)["systems"]] == ["0.25", "1"]
    planned = programs.run(*command, "--plan", "--json")
    assert [run["finished"] for run in json.loads(planned.stdout)] == [True] * 5
