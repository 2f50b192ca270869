"""`hbt plan` as users run it."""

import json
from pathlib import Path

import pytest

from distributed_hbt.cli import main
from distributed_hbt.planner.advice import SHOWN
from tests.distributed.run_for_tests import ROOT

RUNS = sorted((ROOT / "launchers/runs").glob("*.yaml"))
H100 = str(ROOT / "launchers/clusters/h100_2x8.yaml")
TINY = str(ROOT / "launchers/runs/xquad_r_tiny.yaml")


@pytest.mark.parametrize("run_file", RUNS, ids=lambda path: path.stem)
def test_every_shipped_run_is_planned_without_a_network(
    run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A base whose shape nobody carries; a configuration that the planner does not know."""
    assert main(["plan", str(run_file), "--cluster", H100, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"]["total"] > 1e6
    assert found["memory"]["total"] == pytest.approx(sum(found["memory"]["parts"].values()))
    assert found["step"]["seconds"] == pytest.approx(sum(found["step"]["parts"].values()))
    assert found["memory"]["fits"]
    assert found["hours"] > 0


def test_a_plan_that_does_not_fit_says_what_to_change(capsys: pytest.CaptureFixture[str]) -> None:
    """A plan that says no and nothing else."""
    run_file = str(ROOT / "launchers/runs/qwen3_4b_lora.yaml")
    large = ["train.gradient=plain", "train.activation_checkpointing=false"]
    assert main(["plan", run_file, *large, "--cluster", H100]) == 0
    out = capsys.readouterr().out
    assert "DOES NOT FIT" in out
    assert "What to change, the least costly first" in out
    best = out.splitlines()[-1 - SHOWN :][1]
    assert "train.activation_checkpointing=true" in out
    assert " fits " in best


def test_a_sweep_is_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is named and not written, or an empty picture."""
    small = str(ROOT / "launchers/clusters/cpu_2.yaml")
    assert main(["plan", TINY, "--cluster", small, "--sweep", "--out", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 4 * 5
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    picture = (tmp_path / "sweep.svg").read_text(encoding="utf-8")
    assert all(name in picture for name in ("ZeRO-0", "ZeRO-3", "GPU-hours"))
    assert len(json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))) == 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [],
            "--cluster: is not given, and a plan needs a kind of GPU; name a file such as",
        ),
        (
            ["cluster.num_workers=32", "--cluster", H100],
            "cluster.num_workers: 32 ranks of 1 GPU do not fit 2 nodes",
        ),
        (["--cluster", "no-such.yaml"], "no-such.yaml: no such file; check the path"),
        (["train.global_batch_size=63", "--cluster", H100], "train.global_batch_size: 63 is no multiple of"),
        (
            ["model.architecture.hidden_sise=3", "--cluster", H100],
            "model.architecture.hidden_sise: a qwen3 has no",
        ),
    ],
    ids=["no cluster", "too many ranks", "no file", "rows", "architecture"],
)
def test_what_can_not_be_planned_is_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback, or a plan for another cluster than the one that is there."""
    assert main(["plan", TINY, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"hbt: error: {message}")
    assert err.count("\n") == 1
