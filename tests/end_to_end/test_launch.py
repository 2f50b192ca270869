"""The same worker, however it is started."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.run_for_tests import ROOT, write_run

XQUAD = ROOT / "launchers/runs/xquad_r_tiny.yaml"


def steps(run_directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_directory / "train.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("launch"), train={"max_steps": 8, "checkpoint_every": 3})


@pytest.fixture(scope="module")
def whole_run(programs: Any, run_file: Path) -> Path:
    """Started by torchrun on two ranks, not disturbed."""
    done = programs.run(*programs.torchrun(run_file, ["name=whole"]))
    assert done.returncode == 0, done.stderr
    return run_file.parent / "runs" / "whole"


def test_run_directory_is_the_contract_s(whole_run: Path) -> None:
    """A file that other programs rely on, missing or elsewhere."""
    assert (whole_run / "config.yaml").is_file()
    assert json.loads((whole_run / "mlflow.json").read_text()).keys() == {
        "tracking_uri",
        "experiment_id",
        "run_id",
    }
    assert sorted(path.name for path in (whole_run / "checkpoints").iterdir()) == [
        "step-00000003",
        "step-00000006",
        "step-00000008",
    ]
    for checkpoint in (whole_run / "checkpoints").iterdir():
        assert {path.name for path in checkpoint.iterdir()} == {"engine", "encoder", "state.json", "COMPLETE"}
        assert (checkpoint / "encoder" / "encoder.json").is_file()
    keys = (
        "step loss lr grad_norm batch_kind languages num_negatives "
        "real_tokens padded_tokens tokens_per_second seconds repeated_tokens skipped"
    )
    for line in steps(whole_run):
        assert list(line) == keys.split()
        assert line["real_tokens"] <= line["padded_tokens"]


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_accelerate_launch_trains_with_every_stage(
    programs: Any, run_file: Path, whole_run: Path, stage: int
) -> None:
    """An accelerate configuration that starts lone processes, or another ZeRO stage than it names."""
    overrides = (f"name=zero{stage}", "train.deepspeed=null")
    done = programs.run(*programs.accelerate(f"cpu_zero{stage}", run_file, *overrides))
    assert done.returncode == 0, done.stderr
    directory = whole_run.parent / f"zero{stage}"
    state = json.loads((directory / "checkpoints/step-00000008/state.json").read_text())
    assert (state["world_size"], state["zero_stage"]) == (2, stage)
    losses = [line["loss"] for line in steps(directory)]
    assert losses == pytest.approx([line["loss"] for line in steps(whole_run)], abs=1e-5)


def test_number_of_processes_is_accelerate_s_flag_and_plain_hbt_train_equals_it(
    programs: Any, run_file: Path, whole_run: Path
) -> None:
    """A world size fixed in a file; a plain start that needs a launcher's environment."""
    flags = ("--num_processes", "1")
    done = programs.run(*programs.accelerate("cpu_zero2", run_file, "name=one", flags=flags))
    assert done.returncode == 0, done.stderr
    state = json.loads((whole_run.parent / "one/checkpoints/step-00000008/state.json").read_text())
    assert state["world_size"] == 1
    done = programs.hbt("train", run_file, "name=plain")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    expected = [line["loss"] for line in steps(whole_run)]
    for name in ("one", "plain"):
        assert [line["loss"] for line in steps(whole_run.parent / name)] == pytest.approx(expected, abs=1e-5)


def test_other_zero_configuration_than_accelerate_names_is_refused(programs: Any, run_file: Path) -> None:
    """One of the two silently preferred."""
    done = programs.run(
        *programs.accelerate("cpu_zero3", run_file, "name=conflict", flags=("--num_processes", "1"))
    )
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hbt: error")]
    assert "zero2.json" in line
    assert "zero3.json" in line
    assert not (run_file.parent / "runs" / "conflict").exists()


def test_killed_run_goes_on_identically_in_the_same_mlflow_run(
    programs: Any, run_file: Path, whole_run: Path, tmp_path: Path
) -> None:
    """Losses that differ after a SIGKILL, a second MLflow run, steps logged twice."""
    command = programs.torchrun(run_file, ["name=killed"])
    directory = whole_run.parent / "killed"
    process = programs.start(*command, log=tmp_path / "log")
    try:
        deadline = time.monotonic() + 900
        while not (directory / "train.jsonl").exists() or len(steps_so_far(directory)) < 5:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    first_run = json.loads((directory / "mlflow.json").read_text())
    assert (directory / "checkpoints/step-00000003/COMPLETE").exists()
    done = programs.run(*command)
    assert done.returncode == 0, done.stderr
    assert json.loads((directory / "mlflow.json").read_text()) == first_run
    found, expected = steps(directory), steps(whole_run)
    assert [line["step"] for line in found] == list(range(1, 9))
    assert [line["loss"] for line in found] == [line["loss"] for line in expected]


def steps_so_far(directory: Path) -> list[str]:
    return (directory / "train.jsonl").read_text().splitlines()


def test_mlflow_holds_the_run(whole_run: Path) -> None:
    """Metrics that never arrive because the process ended before they were sent."""
    import mlflow

    about = json.loads((whole_run / "mlflow.json").read_text())
    client = mlflow.MlflowClient(about["tracking_uri"])
    run = client.get_run(about["run_id"])
    assert run.info.status == "FINISHED"
    history = client.get_metric_history(about["run_id"], "train/loss")
    assert [(m.step, m.value) for m in history] == [(line["step"], line["loss"]) for line in steps(whole_run)]
    assert [file.path for file in client.list_artifacts(about["run_id"])] == [*("config.yaml", "train.jsonl")]


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_shipped_run_trains_on_real_data_and_is_evaluated(
    programs: Any, shared_data: Path, tmp_path_factory: pytest.TempPathFactory, stage: int
) -> None:
    """The README's own command, with fewer steps and languages. The stages share one store."""
    folder = tmp_path_factory.getbasetemp() / "xquad"
    overrides = [
        *(f"output_dir={folder}", f"name=stage{stage}", f"data.root={shared_data}"),
        *("train.max_steps=2", "train.warmup_steps=1", "evaluation.benchmarks.0.languages=[en, zh]"),
    ]
    done = programs.run(*programs.accelerate(f"cpu_zero{stage}", XQUAD, *overrides))
    assert done.returncode == 0, done.stderr
    directory = folder / f"stage{stage}"
    state = json.loads((directory / "checkpoints/step-00000002/state.json").read_text())
    assert (state["world_size"], state["zero_stage"]) == (2, stage)
    summary = json.loads((directory / "evaluation/step-00000002/xquad_r/summary.json").read_text())
    assert summary["aggregates"].keys() == {
        *("mono", "cross", "multi", "pool", "rank_distance", "max_rank", "rank_correlation", "peer")
    }
    assert summary["tasks"]["multi/en"]["num_queries"] == 220
    assert_tracked(directory, summary)


def assert_tracked(directory: Path, summary: dict[str, Any]) -> None:
    """The measures, files and tags of an evaluated run stand in MLflow."""
    import mlflow

    about = json.loads((directory / "mlflow.json").read_text())
    client = mlflow.MlflowClient(about["tracking_uri"])
    run = client.get_run(about["run_id"])
    assert run.data.metrics["xquad_r/cross/R_at_1"] == summary["aggregates"]["cross"]["R@1"]
    assert run.data.metrics["xquad_r/mono/en/AP"] == summary["tasks"]["mono/en"]["measures"]["AP"]
    assert run.data.params["sampling.strategy"] == "hybrid"
    assert {
        "strategy",
        "model_family",
        "world_size",
        "version.torch",
        "version.deepspeed",
    } <= run.data.tags.keys()
    folder = "evaluation/step-00000002/xquad_r"
    assert [file.path for file in client.list_artifacts(about["run_id"], folder)] == [
        f"{folder}/{name}" for name in ("per_query.parquet", "summary.json")
    ]
