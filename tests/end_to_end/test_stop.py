"""Training under launchers that is told to end."""

import os
import signal
from pathlib import Path

import pytest

from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.run_lock import hold
from tests.coordinator.submitted import (
    Submitted,
    checkpoints,
    error_lines,
    losses,
    mlflow_run,
    steps,
)
from tests.distributed.run_for_tests import write_run
from tests.programs import BIN, Programs

STEPS, MIDDLE = 200, 30


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    train = {"max_steps": STEPS, "checkpoint_every": STEPS}
    return write_run(tmp_path_factory.mktemp("stop"), train=train)


@pytest.fixture(scope="module")
def whole_losses(run_file: Path, programs: Programs) -> list[float]:
    done = programs.run(*programs.torchrun(run_file, ["name=whole"]))
    assert done.returncode == 0, done.stderr
    return losses(run_file.parent / "runs" / "whole")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_ranks_of_torchrun_stop_at_one_step_and_go_on_identically(
    programs: Programs, run_file: Path, whole_losses: list[float], tmp_path: Path, sent: signal.Signals
) -> None:
    """Ranks that are told at different moments, stop at different steps, and hang; a Ctrl-C of the terminal
    that torchrun passes on a second time. It goes to the whole process group, SIGTERM to torchrun alone."""
    name = f"torchrun-{sent.name}"
    command = programs.torchrun(run_file, [f"name={name}"])
    log = tmp_path / "log"
    run = Submitted(programs.start(*command, log=log), run_file.parent / "runs" / name, log)
    try:
        run.wait_for_step(MIDDLE)
        if sent == signal.SIGINT:
            os.killpg(run.process.pid, sent)
        else:
            run.process.send_signal(sent)
        assert run.exit_code() != 0
    finally:
        run.close()
    last = steps(run.directory)[-1]["step"]
    assert MIDDLE <= last < STEPS
    assert checkpoints(run.directory) == [last]
    assert mlflow_run(run.directory).info.status == "KILLED"
    if sent == signal.SIGTERM:
        done = programs.run(*command)
        assert done.returncode == 0, done.stderr
        assert losses(run.directory) == whole_losses


def test_training_waits_for_the_one_that_writes_the_same_run(programs: Programs, run_file: Path) -> None:
    """A rank that a dead launcher has left behind, which writes into the files of its successor."""
    directory = RunDirectory(run_file.parent / "runs" / "taken")
    with hold(directory.training_lock, "training"):
        done = programs.hbt("train", run_file, "name=taken", "cluster.wait_seconds=1")
    assert done.returncode == 2
    assert error_lines(done.stderr) == [
        f"hbt: error: {directory.path}: another training is at this run; "
        "wait for it to end, or give the run another name"
    ]
    assert not directory.train_log.exists()


def test_plain_training_stops_after_its_step(programs: Programs, run_file: Path, tmp_path: Path) -> None:
    """A step that is broken off, or an evaluation that is begun after all."""
    log = tmp_path / "log"
    process = programs.start(BIN / "hbt", "train", run_file, "name=plain", log=log)
    run = Submitted(process, run_file.parent / "runs" / "plain", log)
    try:
        run.wait_for_step(MIDDLE)
        process.send_signal(signal.SIGTERM)
        assert run.exit_code() == 1
    finally:
        run.close()
    assert error_lines(run.log) == ["hbt: error: interrupted: stopped by the user; start again to resume"]
    assert checkpoints(run.directory) == [steps(run.directory)[-1]["step"]]
