"""`hbt submit` from start to end, where nothing goes wrong, or is refused at once."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.coordinator.conftest import EVERY, STEPS, Head, Submit
from tests.coordinator.submitted import checkpoints, error_lines, last_step, losses, mlflow_run, steps
from tests.programs import BIN, Programs


def test_a_submitted_run_is_the_one_of_torchrun_and_leaves_nothing_running(
    submit: Submit, whole_losses: list[float]
) -> None:
    """Other threads, batches or gradients than under a launcher; a Ray cluster of one's own that stays."""
    run = submit("whole")
    run.wait_for_step(1)
    started = run.descendants()
    assert run.exit_code() == 0, run.log
    assert losses(run.directory) == whole_losses
    assert [line["step"] for line in steps(run.directory)] == list(range(1, STEPS + 1))
    assert checkpoints(run.directory) == list(range(EVERY, STEPS + 1, EVERY))
    assert len(started) > 5
    psutil.wait_procs(started, timeout=60)
    assert [process for process in started if process.is_running()] == []


@pytest.fixture(scope="module")
def on_head(run_file: Path, programs: Programs, head: Head) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run on the shared cluster that nothing has disturbed: its directory, and what the program said."""
    command = (BIN / "hbt", "submit", run_file, "name=on_head", "--address", head.address)
    done = programs.run(*command, environment=head.environment)
    assert done.returncode == 0, done.stderr
    return run_file.parent / "runs" / "on_head", done


def test_log_is_that_of_rank_0_without_ray_s_own(
    on_head: tuple[Path, subprocess.CompletedProcess[str]], head: Head
) -> None:
    """Lines that are prefixed, said once a rank, or written to stdout; Ray's chatter."""
    _, done = on_head
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == f"connecting to Ray at {head.address}"
    shown = [re.sub(r"loss.*", "", line) for line in lines if line.startswith("step")]
    assert shown == [f"step {step} of {STEPS}: " for step in range(6, STEPS + 1, 6)]
    expected = ("step", "first step after", "wrote", "building", "waiting")
    assert [line for line in lines[1:] if not line.startswith(expected)] == []


def test_the_whole_record_stands_in_one_mlflow_run(
    on_head: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """Two processes that write to one SQLite file and lose entries; a run that rank 0 has ended."""
    from mlflow import MlflowClient

    directory, _ = on_head
    found = mlflow_run(directory)
    assert found.info.status == "FINISHED"
    history = MlflowClient(f"sqlite:///{directory.parent}/mlflow.db").get_metric_history(
        found.info.run_id, "train/loss"
    )
    assert [(m.step, m.value) for m in history] == [(s["step"], s["loss"]) for s in steps(directory)]


def test_run_that_is_done_is_not_trained_again(
    on_head: tuple[Path, subprocess.CompletedProcess[str]], submit_to_head: Submit
) -> None:
    """Ranks that are started for nothing; a run that stays RUNNING."""
    directory, _ = on_head
    before = (directory / "train.jsonl").stat().st_mtime_ns
    again = submit_to_head("on_head")
    assert again.exit_code() == 0, again.log
    assert again.log.splitlines()[1:] == [f"all {STEPS} steps are done"]
    assert (directory / "train.jsonl").stat().st_mtime_ns == before
    assert mlflow_run(directory).info.status == "FINISHED"


def test_cluster_that_can_not_hold_the_run_is_refused_with_what_is_missing(submit_to_head: Submit) -> None:
    """Waiting for ever, or a stack of Ray's, where 64 GPUs are asked of a cluster without any."""
    run = submit_to_head("large", "cluster.num_workers=8", "cluster.gpus_per_worker=8")
    assert run.exit_code() == 2
    (line,) = error_lines(run.log)
    assert line == (
        "hbt: error: cluster: the run needs 8 x training worker (1 CPU and 8 GPUs each); the cluster has "
        "1 node with 4 CPUs; missing: 4 CPUs and 64 GPUs; set cluster.gpus_per_worker=0 to train on CPUs, "
        "or use a larger cluster (--address)"
    )
    assert not (run.directory / "config.yaml").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:{free}", "nowhere.invalid:6379", "head", "ray://x:10001"])
def test_unknown_address_is_refused_in_one_line(submit: Submit, address: str) -> None:
    """Ray's own attempts of a minute, its stacks, or a local cluster instead."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = address.format(free=closed.getsockname()[1])
        run = submit("unknown", "--address", address)
        assert run.exit_code() == 2
    (line,) = run.log.splitlines()
    assert line.startswith(f"hbt: error: --address: {address} can not be used (")


def test_cluster_that_does_not_take_the_token_is_named(submit: Submit, head: Head) -> None:
    """Hanging, or an unauthenticated way in."""
    environment = {**head.environment, "RAY_AUTH_TOKEN": "0" * 64}
    run = submit("foreign", "--address", head.address, environment=environment)
    assert run.exit_code() == 2
    (line,) = error_lines(run.log)
    assert line.startswith(f"hbt: error: --address: {head.address} can not be used (")
    assert head.environment["RAY_AUTH_TOKEN"] not in run.log


def test_second_submit_does_not_touch_what_the_first_one_uses(submit_to_head: Submit) -> None:
    """Two trainings that write into one directory, and one that waits for ever for another's processors."""
    first = submit_to_head("twice", "train.max_steps=100000", "cluster.cpus_per_worker=2")
    first.wait_for_step(1)
    second = submit_to_head("twice", "train.max_steps=100000")
    assert second.exit_code() == 2
    (line,) = second.log.splitlines()
    assert line == (
        f"hbt: error: {first.directory}: another hbt submit is at this run; "
        "wait for it to end, or give the run another name"
    )
    other = submit_to_head("other", "cluster.wait_seconds=8")
    assert other.exit_code() == 1
    assert "waiting up to 8 s for 2 x training worker (1 CPU each) to be free" in other.log
    (line,) = error_lines(other.log)
    assert line == (
        "hbt: error: cluster: the run needs 2 x training worker (1 CPU each); the cluster has 1 node with 4 "
        "CPUs, of which no CPUs were free after 8 s; free some, ask for less, or raise cluster.wait_seconds"
    )
    seen = last_step(first.directory)
    first.wait_for_step(seen + 2)
    os.kill(first.process.pid, signal.SIGTERM)
    assert first.exit_code() == 1


def test_unusable_data_ends_the_run_at_once_and_leaves_nothing(
    submit_to_head: Submit, run_file: Path
) -> None:
    """A rank's error that is tried again, shown as Ray's stack, or after the run has begun in MLflow."""
    data = run_file.parent / "broken.jsonl"
    data.write_text('{"group_id": "g"}\n', encoding="utf-8")
    run = submit_to_head("broken", f"data.sources.0.path={data}")
    assert run.exit_code() == 2
    (line,) = error_lines(run.log)
    assert line.startswith(f"hbt: error: {data}:1: ")
    assert "starting again" not in run.log
    assert not (run.directory / "mlflow.json").exists()
    assert not (run.directory / "config.yaml").exists()


def test_loss_that_is_not_finite_ends_the_run(submit_to_head: Submit) -> None:
    """The same steps, done again and again."""
    run = submit_to_head("nan", "train.learning_rate=1.0e+30", "train.warmup_steps=0")
    assert run.exit_code() == 1
    (line,) = error_lines(run.log)
    assert re.match(r"hbt: error: step \d+: the (loss|gradient) is not finite", line)
    assert "starting again" not in run.log
    assert mlflow_run(run.directory).info.status == "FAILED"
