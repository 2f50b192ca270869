"""A rank that stalls ends the run, and the line names it."""

import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest

from tests.distributed.run_for_tests import write_run
from tests.programs import Programs

LIMIT = 10


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    return write_run(
        tmp_path,
        groups=16,
        train={"max_steps": 5000, "checkpoint_every": 5000},
        cluster={"step_timeout_seconds": LIMIT},
    )


def the_line(log: str) -> str:
    (line,) = [line for line in log.splitlines() if line.startswith("hbt: error")]
    return line


def status(directory: Path) -> str:
    about = json.loads((directory / "mlflow.json").read_text())
    client = mlflow.MlflowClient(about["tracking_uri"])
    return str(client.get_run(about["run_id"]).info.status)


def test_frozen_rank_is_named_by_the_others(programs: Any, run_file: Path, tmp_path: Path) -> None:
    """A run that hangs until a collective's limit, and then says that a connection was lost; an MLflow run
    that seems to go on."""
    directory = run_file.parent / "runs/tiny"
    process = programs.start(*Programs.torchrun(run_file, []), log=tmp_path / "log")
    log = directory / "train.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.05)
    (frozen,) = [
        child for child in psutil.Process(process.pid).children() if child.environ().get("RANK") == "1"
    ]
    frozen.send_signal(signal.SIGSTOP)
    while not (directory / "watch/stall.json").exists():
        assert process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.1)
    frozen.kill()  # torchrun itself asks a frozen process to end for half a minute
    assert process.wait() == 1
    line = the_line((tmp_path / "log").read_text())
    assert re.fullmatch(
        r"hbt: error: rank 1 on \S+: does not answer any more: frozen, or its node is lost; last seen in "
        rf"step \d+ \(.*\); stacks of the other ranks are in {directory}/stacks; look at that node and at "
        "the stacks; start again to resume from the last checkpoint",
        line,
    )
    stacks = (directory / "stacks/rank-00000.txt").read_text()
    assert "MainThread, which trains" in stacks
    assert "in run_steps" in stacks
    assert not (directory / "stacks/rank-00001.txt").exists()
    assert status(directory) == "FAILED"


def test_sleeping_rank_is_named_with_its_place(programs: Any, run_file: Path) -> None:
    """A rank that is alive, and does nothing: what waits for it is as late, and is accused in its place."""
    config = "launchers/accelerate/cpu_zero2.yaml"
    command = Programs.accelerate("cpu_zero2", str(run_file))
    module = command.index("distributed_hbt.train")
    assert command[module - 3 : module - 1] == ["--config_file", config]
    done = programs.run(*command[:module], "tests.end_to_end.sleeping_rank", *command[module + 1 :])
    assert done.returncode == 1, done.stderr
    directory = run_file.parent / "runs/tiny"
    assert re.fullmatch(
        r"hbt: error: rank 1 on \S+: does not advance for \d+ s in step \d+ \(forward, at end_to_end/"
        rf"sleeping_rank.py:\d+ in sleeping\); stacks of all ranks are in {directory}/stacks; look at .*",
        the_line(done.stderr),
    )
    assert "in sleeping" in (directory / "stacks/rank-00001.txt").read_text()
    assert "in gather" in (directory / "stacks/rank-00000.txt").read_text()
    assert status(directory) == "FAILED"
