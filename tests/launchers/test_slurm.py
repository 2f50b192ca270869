"""`launchers/slurm.sbatch` on a real Slurm of two nodes."""

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.coordinator.submitted import checkpoints, error_lines, last_step, losses, mlflow_run
from tests.distributed.run_for_tests import write_run
from tests.launchers.slurm_cluster import (
    SECONDS_UNTIL_HUNG,
    SlurmCluster,
    missing_programs,
    slurm_cluster,
)
from tests.programs import BIN, ROOT, Programs

STEPS, MIDDLE = 120, 20
SMALL = ("--ntasks-per-node=1", "--cpus-per-task=1", "--gpus-per-node=0", "--time=60")
"""Two nodes with one rank each."""

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


@pytest.fixture(scope="module")
def slurm(programs: Programs) -> Iterator[SlurmCluster]:
    if missing := missing_programs():
        packages = "slurmctld slurmd slurm-client munge"
        pytest.skip(f"{', '.join(missing)} not installed; on Debian: apt-get install {packages}")
    folder = Path(tempfile.mkdtemp(prefix="hbt-slurm-"))
    environment = {**programs.environment, "PATH": f"{BIN}:{programs.environment['PATH']}"}
    with slurm_cluster(folder, environment) as cluster:
        yield cluster
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    train = {"max_steps": STEPS, "checkpoint_every": STEPS}
    return write_run(tmp_path_factory.mktemp("slurm"), train=train)


class Job:
    """A job of the shipped script. `log` is what its script and ranks have written."""

    def __init__(self, slurm: SlurmCluster, log: Path, *arguments: str | Path) -> None:
        self._slurm = slurm
        self._log = log
        command = ("sbatch", *SMALL, f"--output={log}", "launchers/slurm.sbatch", *map(str, arguments))
        submitted = slurm.client(*command, cwd=ROOT)
        found = re.search(r"Submitted batch job (\d+)", submitted.stdout)
        assert found is not None, submitted.stderr
        self.number = found[1]

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def state(self) -> str:
        return self._slurm.facts(self.number)["JobState"]

    def wait_for_step(self, directory: Path, step: int) -> None:
        self._wait(lambda: last_step(directory) >= step, f"step {step}")

    def wait_for_state(self, state: str) -> dict[str, str]:
        """Facts of the job in that state. Fails where it ends in another one."""
        self._wait(lambda: self.state in (state, *ENDED), state)
        facts = self._slurm.facts(self.number)
        assert facts["JobState"] == state, self.log
        return facts

    def _wait(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS_UNTIL_HUNG
        while not true():
            assert time.monotonic() < deadline, f"no sign of {what}; {self.state}:\n{self.log}"
            time.sleep(0.05)


def test_sbatch_takes_the_script_as_it_is_shipped(slurm: SlurmCluster) -> None:
    """An option that sbatch does not know, or a request that no cluster of 8-GPU nodes can fulfil."""
    done = slurm.client("sbatch", "--test-only", "launchers/slurm.sbatch", "RUN.yaml", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert re.search(r"to start at .* using 128 processors on nodes n\[1-2\]", done.stderr)


def test_job_stops_before_its_limit_and_goes_on_from_the_queue(
    slurm: SlurmCluster, run_file: Path, programs: Programs, tmp_path: Path
) -> None:
    """Ranks that are killed at the limit with their steps since the last checkpoint, that srun kills when the
    first of them has ended, or a job that does not come back."""
    done = programs.run(*programs.torchrun(run_file, ["name=torchrun"]))
    assert done.returncode == 0, done.stderr
    directory = run_file.parent / "runs" / "job"
    job = Job(slurm, tmp_path / "log", run_file, "name=job")
    job.wait_for_step(directory, MIDDLE)
    slurm.ask("scancel", "--batch", "--signal=USR1", job.number)  # as Slurm sends it before the limit
    job.wait_for_state("PENDING")
    last = last_step(directory)
    assert MIDDLE <= last < STEPS
    assert checkpoints(directory) == [last]
    assert mlflow_run(directory).info.status == "KILLED"
    facts = job.wait_for_state("COMPLETED")
    assert (facts["Restarts"], facts["ExitCode"]) == ("1", "0:0")
    assert f"step-{last:08d}" in job.log
    assert losses(directory) == losses(run_file.parent / "runs" / "torchrun")


def test_cancelled_job_writes_a_checkpoint_and_stays_away(
    slurm: SlurmCluster, run_file: Path, tmp_path: Path
) -> None:
    """A job that comes back although somebody has cancelled it."""
    directory = run_file.parent / "runs" / "cancelled"
    job = Job(slurm, tmp_path / "log", run_file, "name=cancelled")
    job.wait_for_step(directory, MIDDLE)
    slurm.ask("scancel", job.number)
    assert job.wait_for_state("CANCELLED")["Restarts"] == "0"
    assert checkpoints(directory) == [last_step(directory)]


def test_mistake_in_the_run_file_is_reported_once(
    slurm: SlurmCluster, run_file: Path, tmp_path: Path
) -> None:
    """The same line from every rank, after all of them have been started."""
    job = Job(slurm, tmp_path / "log", run_file, "train.max_stepz=3")
    facts = job.wait_for_state("FAILED")
    assert facts["ExitCode"] == "2:0"
    (line,) = job.log.splitlines()
    assert error_lines(line)
    assert "train.max_stepz" in line
