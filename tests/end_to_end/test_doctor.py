"""hbt doctor as users start it: on a run that works here, on one that does not, and on none."""

import json
from pathlib import Path

import pytest

from distributed_hbt.cli import main
from tests.programs import ROOT, Programs

RUN = "launchers/runs/xquad_r_tiny.yaml"


def test_a_run_that_works_here_is_called_good(shared_data: Path, tmp_path: Path, programs: Programs) -> None:
    """Real Ray, a real database, two real processes; all of it gone again afterwards."""
    arguments = (f"output_dir={tmp_path}/runs", f"data.root={shared_data}", "cluster.num_workers=1")
    done = programs.hbt("doctor", RUN, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, verdict = done.stdout.splitlines()
    assert {line[:9].strip() for line in lines} <= {"ok", "warning"}
    assert len(lines) >= 13
    assert verdict.endswith("0 failures: xquad_r_tiny can start")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_would_fail_ends_with_one(tmp_path: Path, programs: Programs) -> None:
    """Each fault is named beside the others, for a program to read, and none of them stops the rest."""
    done = programs.hbt(
        *("doctor", RUN, "--json", "--address", "127.0.0.1:9", f"output_dir={tmp_path}/runs"),
        *("data.root=/absent", "tracking.uri=http://127.0.0.1:9", "train.global_batch_size=63"),
    )
    assert done.returncode == 1, done.stderr
    content = json.loads(done.stdout)
    assert (content["run"], content["ok"]) == ("xquad_r_tiny", False)
    failed = {finding["check"] for finding in content["findings"] if finding["status"] == "failure"}
    assert failed == {"settings", "data", "ray", "mlflow"}
    for finding in content["findings"]:
        assert set(finding) == {"check", "status", "text", "remedy"}
        assert bool(finding["remedy"]) == (finding["status"] != "ok"), finding


@pytest.mark.parametrize(
    "arguments", [("absent.yaml",), (RUN, "train.max_stepz=3"), ("train.max_steps=3",), (RUN, "--nothing")]
)
def test_a_bad_run_file_ends_with_two(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo that reads as a machine in trouble."""
    monkeypatch.chdir(ROOT)
    assert main(["doctor", *arguments]) == 2
    assert capsys.readouterr().err.startswith("hbt: error: ")
