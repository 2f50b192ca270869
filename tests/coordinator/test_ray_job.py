"""`launchers/ray_submit.sh`: a submit that is a job of a cluster."""

import re
import subprocess
import urllib.request
from pathlib import Path

from tests.coordinator.conftest import Head
from tests.coordinator.submitted import (
    SECONDS_UNTIL_HUNG,
    Submitted,
    checkpoints,
    losses,
    mlflow_run,
    steps,
)
from tests.programs import ROOT

SCRIPT = ROOT / "launchers/ray_submit.sh"
MIDDLE = 30


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
    command = [str(SCRIPT), head.dashboard, str(run_file), "name=job"]
    log = tmp_path / "log"
    process = subprocess.Popen(
        command, cwd=ROOT, env=head.environment, stdout=log.open("wb"), stderr=subprocess.STDOUT
    )
    first = Submitted(process, directory, log)
    first.wait_for_step(MIDDLE)
    (job,) = set(re.findall(r"raysubmit_\w+", first.log))
    stop(head, job)
    first.exit_code()
    assert "interrupted: stopped by the user" in first.log
    last = steps(directory)[-1]["step"]
    assert checkpoints(directory)[-1] == last
    assert mlflow_run(directory).info.status == "KILLED"
    done = subprocess.run(
        command, cwd=ROOT, env=head.environment, capture_output=True, text=True, timeout=SECONDS_UNTIL_HUNG
    )
    assert done.returncode == 0, done.stdout
    assert f"step-{last:08d}" in done.stdout
    assert losses(directory) == whole_losses
    lost = subprocess.run(
        [*command, "output_dir=runs"],
        cwd=ROOT,
        env=head.environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_UNTIL_HUNG,
    )
    assert "hbt: error: output_dir: runs is below the job's own copy of the code" in lost.stdout
    assert head.environment["RAY_AUTH_TOKEN"] not in first.log + done.stdout + done.stderr
