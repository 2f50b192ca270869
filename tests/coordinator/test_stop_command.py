"""`hbt stop` of a run on a cluster."""

from pathlib import Path

from tests.coordinator.conftest import Submit
from tests.coordinator.submitted import checkpoints, error_lines, losses, mlflow_run, steps
from tests.programs import BIN, Programs

MIDDLE = 30


def test_run_stops_in_good_order_from_elsewhere_and_goes_on_identically(
    submit_to_head: Submit, run_file: Path, programs: Programs, whole_losses: list[float]
) -> None:
    """Ranks that end while the coordinator takes the run for complete; a stop that is meant for an earlier
    cluster; one that returns before the checkpoint is there."""
    run = submit_to_head("told", "cluster.name=second")
    run.wait_for_step(MIDDLE)
    command = [BIN / "hbt", "stop", run_file, "name=told"]
    other = programs.run(*command, "cluster.name=first")
    assert (other.returncode, "is on cluster second, not on first" in other.stderr) == (0, True)
    done = programs.run(*command, "cluster.name=second")
    assert done.returncode == 0, done.stderr
    assert f"{run.directory}: has ended" in done.stderr
    last = steps(run.directory)[-1]["step"]
    assert checkpoints(run.directory)[-1] == last
    assert run.exit_code() == 1
    assert error_lines(run.log) == ["hbt: error: interrupted: stopped by the user; start again to resume"]
    assert mlflow_run(run.directory).info.status == "KILLED"
    assert not (run.directory / "FINISHED").exists()
    again = submit_to_head("told", "cluster.name=third")
    assert again.exit_code() == 0, again.log
    assert losses(run.directory) == whole_losses
    assert (run.directory / "FINISHED").exists()
