"""`launchers/ray_submit.sh`: a submit that is a job of a cluster, with the commands of docs/cluster.md."""

import re
import subprocess
import urllib.request
from pathlib import Path

import yaml

from tests.coordinator.conftest import Head
from tests.coordinator.documented import documented
from tests.coordinator.submitted import (
    SECONDS_UNTIL_HUNG,
    Submitted,
    checkpoints,
    error_lines,
    losses,
    mlflow_run,
    steps,
)
from tests.programs import ROOT

MIDDLE = 30
EXPERIMENT = """it's "one" of $HOME and {a,b} in \\ * [x]"""
"""What a shell on the way would change."""


def submit_command(head: Head, run_file: Path, *overrides: str) -> list[str]:
    """The documented one, of this run and this cluster."""
    here = {
        "http://HEAD:8265": head.dashboard,
        "launchers/runs/qwen3_8b_lora.yaml": str(run_file),
        "/shared/runs": str(run_file.parent / "runs"),
        "/shared/data": str(run_file.parent),
    }
    return [*documented("launchers/ray_submit.sh", here), *overrides]


def run(
    head: Head, command: list[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**head.environment, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS_UNTIL_HUNG,
        check=False,
    )


def stop(head: Head, job: str) -> None:
    """As `ray job stop` does, which takes seconds to start."""
    header = {"Authorization": f"Bearer {head.environment['RAY_AUTH_TOKEN']}"}
    request = urllib.request.Request(f"{head.dashboard}/api/jobs/{job}/stop", headers=header, method="POST")
    urllib.request.urlopen(request, timeout=SECONDS_UNTIL_HUNG).close()


def test_job_is_stopped_in_good_order_and_submitted_again(
    head: Head, run_file: Path, whole_losses: list[float], tmp_path: Path
) -> None:
    """A script that does not fit Ray's command, code or a token that does not reach the cluster, a job that
    `ray job stop` kills before its checkpoint."""
    directory = run_file.parent / "runs" / "job"
    command = submit_command(head, run_file, "name=job", f"tracking.experiment={EXPERIMENT}")
    log = tmp_path / "log"
    process = subprocess.Popen(
        command, cwd=ROOT, env=head.environment, stdout=log.open("wb"), stderr=subprocess.STDOUT
    )
    first = Submitted(process, directory, log)
    first.wait_for_step(MIDDLE)
    (job,) = set(re.findall(r"hbt-\d{8}-\d{6}-\d+", first.log))
    stop(head, job)
    assert first.exit_code() == 1
    last = steps(directory)[-1]["step"]
    assert checkpoints(directory)[-1] == last
    assert mlflow_run(directory).info.status == "KILLED"
    here = {"JOB": job, "http://HEAD:8265": head.dashboard}
    logs = run(head, documented("ray job logs", here))
    assert "interrupted: stopped by the user" in logs.stdout
    done = run(head, command)
    assert done.returncode == 0, done.stdout
    assert f"step-{last:08d}" in done.stdout
    assert losses(directory) == whole_losses
    resolved = yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))
    assert resolved["tracking"]["experiment"] == EXPERIMENT
    assert head.environment["RAY_AUTH_TOKEN"] not in first.log + logs.stdout + done.stdout + done.stderr


def test_run_that_can_not_be_is_refused_by_the_job(head: Head, run_file: Path) -> None:
    """An error of the coordinator on the cluster that this terminal does not show, or ends well with."""
    lost = run(head, submit_command(head, run_file, "name=lost", "output_dir=runs"))
    assert lost.returncode == 1
    assert "hbt: error: output_dir: runs is below the job's own copy of the code" in lost.stdout


def test_cluster_that_does_not_take_the_token_is_named_before_anything_is_sent(
    head: Head, run_file: Path
) -> None:
    """A traceback for a forgotten token."""
    command = submit_command(head, run_file, "name=refused")
    refused = run(head, command, {"RAY_AUTH_TOKEN": "0" * 64})
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = error_lines(refused.stderr)
    assert refused.stderr.splitlines() == [line]
    assert head.dashboard in line
    assert "token" in line
    assert head.environment["RAY_AUTH_TOKEN"] not in line
