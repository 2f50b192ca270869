"""Tracking in a real MLflow store (SQLite)."""

import json
import logging
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.tracking.mlflow_store import default_uri
from distributed_hbt.tracking.mlflow_tracker import MlflowTracker
from distributed_hbt.tracking.open import begin_in_store, open_tracker

ROOT = Path(__file__).resolve().parents[3]
PROCESS = """
import sys
from pathlib import Path
from distributed_hbt.config.load import load_run
from distributed_hbt.tracking.open import open_tracker
config = load_run(Path(sys.argv[1]), [f"name={sys.argv[2]}"])
config.run_dir.mkdir(parents=True)
tracker = open_tracker(config, config.run_dir, world_size=1)
tracker.log_metrics({"train/loss": 1.5}, step=1)
tracker.finish("FINISHED")
print(tracker.run_id)
"""


def config(output_dir: Path, name: str = "run", **tracking: Any) -> RunConfig:
    model = {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 300}}}
    data = {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]}
    content = {"name": name, "output_dir": str(output_dir), "model": model, "data": data}
    return validate({**content, "tracking": {"experiment": "tests", **tracking}})


@pytest.fixture(scope="module")
def output_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests: making its tables takes seconds. Two processes make it at once."""
    folder = tmp_path_factory.mktemp("runs")
    content = config(folder, "unused").model_dump(mode="json")
    (folder / "run.json").write_text(json.dumps(content))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(folder / "run.json"), f"at_once_{i}"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    for i, process in enumerate(processes):
        out, err = process.communicate(timeout=120)
        (folder / f"at_once_{i}.json").write_text(json.dumps([process.returncode, out, err]))
    return folder


@pytest.fixture(scope="module")
def client(output_dir: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=default_uri(output_dir))


@pytest.fixture
def run(output_dir: Path, request: pytest.FixtureRequest) -> RunConfig:
    made = config(output_dir, str(request.node.name).removeprefix("test_")[:60].strip("_"))
    made.run_dir.mkdir(parents=True)
    return made


def test_two_processes_make_one_store_at_once(output_dir: Path, client: Any) -> None:
    """Runs of a study start together; both making the tables fails both."""
    results = [json.loads((output_dir / f"at_once_{i}.json").read_text()) for i in range(2)]
    assert [code for code, _, _ in results] == [0, 0], results
    runs = [client.get_run(out.strip()) for _, out, _ in results]
    assert len({found.info.experiment_id for found in runs}) == 1
    assert [found.data.metrics for found in runs] == [{"train/loss": 1.5}] * 2
    assert [found.info.status for found in runs] == ["FINISHED"] * 2
    assert [err for _, _, err in results] == ["", ""]


def test_parameters_tags_and_the_run_file_are_there_at_the_start(run: RunConfig, client: Any) -> None:
    """A run that dies in its first step must still say what it was."""
    tracker = open_tracker(run, run.run_dir, world_size=3)
    found = client.get_run(tracker.run_id)
    assert found.info.run_name == run.name
    assert found.info.status == "RUNNING"
    assert client.get_experiment(found.info.experiment_id).name == "tests"
    assert found.data.params["train.max_steps"] == "1000"
    assert found.data.params["model.tokenizer.train.vocab_size"] == "300"
    assert found.data.tags["world_size"] == "3"
    assert found.data.tags["strategy"] == "hybrid"
    assert found.data.tags["version.mlflow"].startswith("3.")
    assert json.loads((run.run_dir / "mlflow.json").read_text()) == {
        "tracking_uri": default_uri(Path(run.output_dir)),
        "experiment_id": found.info.experiment_id,
        "run_id": tracker.run_id,
    }
    tracker.finish("KILLED")
    assert client.get_run(tracker.run_id).info.status == "KILLED"


def test_every_metric_of_every_step_is_there_after_the_end(run: RunConfig, client: Any) -> None:
    """Asynchronous numbers that still wait are lost with the process."""
    tracker = open_tracker(run, run.run_dir, world_size=1)
    for step in range(1, 501):
        tracker.log_metrics({"train/loss": 1 / step, "train/grad_norm": float("nan")}, step=step)
    tracker.finish("FINISHED")
    history = client.get_metric_history(tracker.run_id, "train/loss")
    assert sorted((metric.step, metric.value) for metric in history) == [(i, 1 / i) for i in range(1, 501)]


def test_tracker_that_is_closed_leaves_the_run_to_another_one(run: RunConfig, client: Any) -> None:
    """Catches a rank that ends the run while its coordinator still evaluates, or loses what it has logged."""
    of_rank = open_tracker(run, run.run_dir, world_size=2)
    of_coordinator = open_tracker(run, run.run_dir, world_size=2)
    assert of_coordinator.run_id == of_rank.run_id
    of_rank.log_metrics({"train/loss": 1.5}, step=1)
    of_rank.close()
    found = client.get_run(of_rank.run_id)
    assert (found.info.status, found.data.metrics) == ("RUNNING", {"train/loss": 1.5})
    of_coordinator.finish("KILLED")
    assert client.get_run(of_rank.run_id).info.status == "KILLED"


def test_evaluation_measures_and_artifacts_arrive(run: RunConfig, client: Any) -> None:
    """`@` in a measure's name would lose the whole evaluation."""
    tracker = open_tracker(run, run.run_dir, world_size=1)
    summary = {
        "benchmark": "xquad_r",
        "tasks": {"mono/en": {"num_queries": 2, "measures": {"R@10": 0.5}}},
        "aggregates": {"mono": {"AP": 0.25}},
    }
    (run.run_dir / "summary.json").write_text(json.dumps(summary))
    tracker.log_evaluation(summary, step=100)
    tracker.log_artifact(run.run_dir / "summary.json", folder="evaluation/step-00000100/xquad_r")
    tracker.finish("FINISHED")
    found = client.get_run(tracker.run_id)
    assert found.data.metrics == {"xquad_r/mono/en/R_at_10": 0.5, "xquad_r/mono/AP": 0.25}
    (metric,) = client.get_metric_history(tracker.run_id, "xquad_r/mono/AP")
    assert metric.step == 100
    (kept,) = (Path(run.output_dir) / "mlartifacts").glob("*/artifacts/evaluation/*/xquad_r/summary.json")
    assert json.loads(kept.read_text()) == summary


def test_system_metrics_are_of_the_run_s_time_and_end_with_it(run: RunConfig, client: Any) -> None:
    """A second start whose samples cover those of the first; samples after the end."""
    for _ in range(2):
        tracker = open_tracker(run, run.run_dir, world_size=1)
        tracker.watch_system(interval=0.3)  # type: ignore[call-arg]
        time.sleep(1.5)
        tracker.finish("FINISHED")
    history = client.get_metric_history(tracker.run_id, "system/cpu_utilization_percentage")
    steps = [metric.step for metric in history]
    assert steps == sorted(steps)
    assert steps[-1] >= 2
    count = len(history)
    time.sleep(0.5)
    assert len(client.get_metric_history(tracker.run_id, "system/cpu_utilization_percentage")) == count


def test_a_resumed_run_goes_on_with_its_mlflow_run(
    run: RunConfig, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A new MLflow run at every restart scatters one curve over many; parameters can not be set again."""
    first = open_tracker(run, run.run_dir, world_size=2)
    first.log_metrics({"train/loss": 1.0}, step=1)
    first.finish("FAILED")
    changed = run.model_copy(update={"cluster": run.cluster.model_copy(update={"num_workers": 7})})
    second = open_tracker(changed, run.run_dir, world_size=7)
    assert second.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "RUNNING"
    second.log_metrics({"train/loss": 0.5}, step=2)
    second.finish("FINISHED")
    found = client.get_run(first.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.tags["world_size"] == "7"
    assert found.data.params["cluster.num_workers"] == "2"
    assert [m.value for m in client.get_metric_history(first.run_id, "train/loss")] == [1.0, 0.5]


def test_a_training_that_starts_again_does_not_wait_for_its_store(run: RunConfig, client: Any) -> None:
    """Ranks that wait until rank 0 has imported MLflow; what is logged before the first step, lost."""
    open_tracker(run, run.run_dir, world_size=2, lazily=True).finish("FAILED")  # a new run is begun at once
    second = open_tracker(run, run.run_dir, world_size=2, lazily=True)
    second.set_tags({"said": "before the first step"})
    second._sender._thread.join(0.3)  # type: ignore[attr-defined]
    assert client.get_run(second.run_id).info.status == "FAILED"
    second.log_metrics({"train/loss": 0.5}, step=1)
    second.finish("FINISHED")
    found = client.get_run(second.run_id)
    assert (found.info.status, found.data.tags["said"]) == ("FINISHED", "before the first step")
    assert [m.value for m in client.get_metric_history(second.run_id, "train/loss")] == [0.5]


def test_a_deleted_run_is_replaced(run: RunConfig, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Writing into a deleted run fails at every step."""
    first = open_tracker(run, run.run_dir, world_size=1)
    first.finish("FAILED")
    client.delete_run(first.run_id)
    with caplog.at_level(logging.WARNING):
        second = open_tracker(run, run.run_dir, world_size=1)
    second.finish("FINISHED")
    assert second.run_id != first.run_id
    assert f"no longer has run {first.run_id}" in caplog.text
    assert json.loads((run.run_dir / "mlflow.json").read_text())["run_id"] == second.run_id


def test_a_deleted_experiment_is_refused(run: RunConfig, client: Any) -> None:
    """MLflow keeps the name of a deleted experiment and takes no run for it."""
    client.delete_experiment(client.create_experiment("gone"))
    tracking = run.tracking.model_copy(update={"experiment": "gone"})
    with pytest.raises(ConfigError, match=r"tracking\.experiment: gone was deleted in sqlite.*restore it"):
        open_tracker(run.model_copy(update={"tracking": tracking}), run.run_dir, world_size=1)


def test_a_store_that_breaks_during_the_run_does_not_stop_it(
    run: RunConfig, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A run of weeks must not end for its record, but the record must not be trusted silently either."""
    found = begin_in_store(run, run.run_dir, 1)
    run_id = found.run_id
    tracker = MlflowTracker(run.run_dir, lambda: found, run=found, pauses=(0.01,))
    tracker.set_tags({"sent": "yes"})
    while "sent" not in client.get_run(run_id).data.tags:
        time.sleep(0.05)
    client.delete_run(run_id)
    with caplog.at_level(logging.WARNING):
        tracker.log_metrics({"train/loss": 1.0, "train/lr": 1.0}, step=1)
        tracker.log_artifact(run.run_dir / "absent.json")
        tracker.finish("FINISHED")
    assert "2 entries could not be written" in caplog.text
    assert f"4 entries of run {run_id} are lost to MLflow" in caplog.text


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_server_that_is_away_is_one_line_at_the_start(tmp_path: Path, closed_port: int) -> None:
    """MLflow ends with a traceback of four libraries."""
    run = config(tmp_path, uri=f"http://me:secret@127.0.0.1:{closed_port}")
    with pytest.raises(ConfigError) as caught:
        open_tracker(run, tmp_path, world_size=1)
    assert str(caught.value).startswith("tracking.uri: http://me:***@127.0.0.1:")
    assert "Connection refused" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["no store", "file store", "not a database", "read-only folder"])
def test_an_unusable_address_is_one_line_at_the_start(tmp_path: Path, kind: str) -> None:
    """Found out before anything is loaded, not after the first step."""
    (tmp_path / "file").write_text("this is no database, but long enough to be one" * 100)
    uri = {
        "no store": "foo://bar",
        "file store": f"file://{tmp_path}/mlruns",
        "not a database": f"sqlite:///{tmp_path}/file",
        "read-only folder": "sqlite:////proc/nowhere/mlflow.db",
    }[kind]
    with pytest.raises(ConfigError, match=r"^tracking\.uri: [^\n]*can not be used \([^\n]+$"):
        open_tracker(config(tmp_path, uri=uri), tmp_path, world_size=1)
    assert not (tmp_path / "mlflow.json").exists()


def test_a_locked_database_is_one_line_at_the_start(run: RunConfig, output_dir: Path) -> None:
    """A database that another program holds would hang the start, or end it with a traceback."""
    tracking = run.tracking.model_copy(update={"uri": f"{default_uri(output_dir)}?timeout=0.1"})
    holder = sqlite3.connect(output_dir / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(ConfigError, match=r"^tracking\.uri: .*locked"):
            open_tracker(run.model_copy(update={"tracking": tracking}), run.run_dir, world_size=1)
    finally:
        holder.close()
