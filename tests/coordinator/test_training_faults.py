"""Processes of a submitted run that are really killed, stopped and signalled."""

import os
import re
import signal

import psutil
import pytest

from tests.coordinator.conftest import EVERY, STEPS, Head, Submit
from tests.coordinator.submitted import (
    Submitted,
    checkpoints,
    error_lines,
    losses,
    mlflow_id,
    mlflow_run,
    ranks,
    steps,
)

MIDDLE = EVERY + 3


def assert_whole(run: Submitted, whole_losses: list[float]) -> None:
    """Every step once, with the loss that it has in a run that nothing disturbed."""
    assert [line["step"] for line in steps(run.directory)] == list(range(1, STEPS + 1))
    assert losses(run.directory) == whole_losses
    assert checkpoints(run.directory)[-1] == STEPS


@pytest.mark.parametrize("rank", [0, 1])
def test_killed_rank_is_replaced_and_losses_go_on_identically(
    submit_to_head: Submit, head: Head, whole_losses: list[float], rank: int
) -> None:
    """A run that ends, hangs, starts from scratch or twice in MLflow where one rank of it dies."""
    run = submit_to_head(f"rank{rank}")
    run.wait_for_step(MIDDLE)
    mlflow_run_id = mlflow_id(run.directory)
    ranks(run.directory, head.descendants())[rank].kill()
    assert run.exit_code() == 0, run.log
    assert f"rank {rank} on " in run.log
    assert "; starting again (1 of 3)" in run.log
    assert "resumed from " in run.log
    assert_whole(run, whole_losses)
    found = mlflow_run(run.directory).info
    assert (found.run_id, found.status) == (mlflow_run_id, "FINISHED")


def test_rank_that_does_not_answer_is_replaced(
    submit_to_head: Submit, head: Head, whole_losses: list[float]
) -> None:
    """A run that waits for ever for a rank that neither lives nor dies, as behind a broken network."""
    run = submit_to_head("stopped", "cluster.collective_timeout_seconds=5")
    run.wait_for_step(MIDDLE)
    ranks(run.directory, head.descendants())[1].send_signal(signal.SIGSTOP)
    assert run.exit_code() == 0, run.log
    assert "; starting again (1 of 3)" in run.log
    assert_whole(run, whole_losses)


def test_last_restart_spent_names_rank_node_and_cause(submit_to_head: Submit, head: Head) -> None:
    """Restarts without end; an error that says only that something was lost."""
    run = submit_to_head("spent", "cluster.max_restarts=0")
    run.wait_for_step(MIDDLE)
    ranks(run.directory, head.descendants())[1].kill()
    assert run.exit_code() == 1
    (line,) = error_lines(run.log)
    assert re.fullmatch(
        r"hbt: error: rank 1 on [0-9.]+: the process was killed or crashed \(out of memory\?\); "
        r"cluster.max_restarts \(0\) restarts are spent; submit again to resume from the last checkpoint",
        line,
    )
    assert mlflow_run(run.directory).info.status == "FAILED"


def test_frozen_rank_is_named_where_no_restart_is_left(submit_to_head: Submit, head: Head) -> None:
    """Ranks that end since another one stalls: Ray knows that they died, and would have them be the cause."""
    run = submit_to_head("frozen", "cluster.step_timeout_seconds=10", "cluster.max_restarts=0")
    run.wait_for_step(MIDDLE)
    ranks(run.directory, head.descendants())[1].send_signal(signal.SIGSTOP)
    assert run.exit_code() == 1
    (line,) = error_lines(run.log)
    assert re.fullmatch(
        r"hbt: error: rank 1 on \S+: does not answer any more: frozen, or its node is lost; last seen in "
        rf"step \d+ \(.*\); stacks of the other ranks are in {run.directory}/stacks; "
        r"cluster.max_restarts \(0\) restarts are spent; submit again to resume from the last checkpoint",
        line,
    )
    assert mlflow_run(run.directory).info.status == "FAILED"


def test_killed_coordinator_is_followed_by_one_that_goes_on(
    submit: Submit, whole_losses: list[float]
) -> None:
    """A submit that is refused by the dead one's lock, mixes its files with those of ranks that have not
    noticed yet, or begins a second MLflow run."""
    run = submit("driver")
    run.wait_for_step(MIDDLE)
    left = run.descendants()
    mlflow_run_id = mlflow_id(run.directory)
    run.process.kill()
    run.process.wait()
    again = submit("driver")
    assert again.exit_code() == 0, again.log
    assert "resumed from " in again.log
    assert_whole(again, whole_losses)
    found = mlflow_run(run.directory).info
    assert (found.run_id, found.status) == (mlflow_run_id, "FINISHED")
    assert psutil.wait_procs(left, timeout=120)[1] == []


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_stopped_run_writes_a_checkpoint_and_goes_on_identically(
    submit: Submit, whole_losses: list[float], sent: signal.Signals
) -> None:
    """Steps that are lost when a scheduler or a user ends the run; ranks that stop at different steps and
    hang; a Ray that stays. Ctrl-C reaches the terminal's whole process group, SIGTERM the program alone."""
    run = submit(f"stop-{sent.name}")
    run.wait_for_step(MIDDLE)
    started = run.descendants()
    if sent == signal.SIGINT:
        os.killpg(run.process.pid, sent)
    else:
        run.process.send_signal(sent)
    assert run.exit_code() == 1
    assert error_lines(run.log) == ["hbt: error: interrupted: stopped by the user; start again to resume"]
    last = steps(run.directory)[-1]["step"]
    assert MIDDLE <= last < STEPS
    assert checkpoints(run.directory)[-1] == last
    assert mlflow_run(run.directory).info.status == "KILLED"
    assert psutil.wait_procs(started, timeout=60)[1] == []
    if sent == signal.SIGTERM:
        again = submit(f"stop-{sent.name}")
        assert again.exit_code() == 0, again.log
        assert f"step-{last:08d}" in again.log
        assert_whole(again, whole_losses)
        assert mlflow_run(run.directory).info.status == "FINISHED"


def test_ranks_that_do_not_stop_are_killed_after_the_grace_period(submit_to_head: Submit, head: Head) -> None:
    """A stop that waits for ever for a rank that hangs."""
    run = submit_to_head("grace", "cluster.grace_seconds=3")
    run.wait_for_step(MIDDLE)
    workers = ranks(run.directory, head.descendants())
    workers[1].send_signal(signal.SIGSTOP)
    run.process.send_signal(signal.SIGTERM)
    assert run.exit_code() == 1
    assert "the ranks have not ended in time and are killed" in run.log
    assert psutil.wait_procs(workers, timeout=60)[1] == []
