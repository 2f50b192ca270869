"""A real store that is away while runs start, log and end."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.tracking.datasets import DatasetFacts
from distributed_hbt.tracking.mlflow_store import connect, default_uri
from distributed_hbt.tracking.open import open_tracker
from distributed_hbt.tracking.spool import spool_files

FACTS = DatasetFacts("rows", "hbt_jsonl", {"path": "rows.jsonl"}, "abc", {"rows": 3}, "training")
SUMMARY = {"benchmark": "xquad_r", "tasks": {}, "aggregates": {"mono": {"AP": 0.25}}}


@pytest.fixture
def run(tmp_path: Path) -> RunConfig:
    """Its database waits for no lock."""
    model = {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 300}}}
    content = {
        "name": "run",
        "output_dir": str(tmp_path),
        "model": model,
        "data": {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]},
        "tracking": {"uri": f"{default_uri(tmp_path)}?timeout=0.1"},
    }
    return validate(content)


@pytest.fixture
def begun(run: RunConfig) -> str:
    """The run has been in the store once: its id."""
    run.run_dir.mkdir()
    tracker = open_tracker(run, run.run_dir, world_size=1)
    for step in (1, 2, 3):
        tracker.log_metrics({"train/loss": 1 / step}, step=step)
    tracker.finish("FAILED")
    return tracker.run_id


@pytest.fixture
def locked(run: RunConfig, begun: str) -> Iterator[sqlite3.Connection]:
    """Another program holds the database until this is closed."""
    holder = sqlite3.connect(run.run_dir.parent / "mlflow.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    yield holder
    holder.close()


def test_a_run_goes_on_without_its_store_and_nothing_is_lost(
    run: RunConfig, begun: str, locked: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """A restart in the night that fails since the MLflow server is down; what the run logs until it is back,
    or until the run has ended, is gone; steps that are done again stand there twice."""
    away = open_tracker(run, run.run_dir, world_size=2)
    assert away.run_id == begun
    assert "the run goes on" in caplog.text
    for step in (2, 3, 4, 5):
        away.log_metrics({"train/loss": 1 / step}, step=step)
    (run.run_dir / "summary.json").write_text(json.dumps(SUMMARY))
    away.log_evaluation(SUMMARY, 5, measured=1e9)
    away.log_artifact(run.run_dir / "summary.json", folder="evaluation")
    away.log_datasets([FACTS])
    away.set_tags({"found": "later"})
    away._finish_seconds = 0.1  # type: ignore[attr-defined]
    away.finish("KILLED")
    assert f"entries of run {begun} are not in MLflow; the next start of the run sends them" in caplog.text
    locked.close()
    last = open_tracker(run, run.run_dir, world_size=2)
    last.log_evaluation(SUMMARY, 5, measured=1e9)  # as every start does
    last.finish("FINISHED")

    client, _ = connect(str(run.tracking.uri), "distributed_hbt", run.run_dir)
    found = client.get_run(begun)
    assert (found.info.status, found.data.tags["found"]) == ("FINISHED", "later")
    assert found.data.tags["world_size"] == "2"
    history = client.get_metric_history(begun, "train/loss")
    assert Counter((one.step, one.value) for one in history) == Counter((i, 1 / i) for i in range(1, 6))
    (measure,) = client.get_metric_history(begun, "xquad_r/mono/AP")
    assert (measure.step, measure.value, measure.timestamp) == (5, 0.25, 10**12)
    assert [one.dataset.name for one in found.inputs.dataset_inputs] == ["rows"]
    assert [one.path for one in client.list_artifacts(begun, "evaluation")] == ["evaluation/summary.json"]
    assert spool_files(run.run_dir / "tracking") == []


def test_a_new_run_is_refused_without_its_store(run: RunConfig, locked: sqlite3.Connection) -> None:
    """A mistyped address that is found out after days, when all of the run's record waits for it."""
    new = run.model_copy(update={"name": "new"})
    new.run_dir.mkdir()
    with pytest.raises(ConfigError, match=r"^tracking\.uri: .*locked"):
        open_tracker(new, new.run_dir, world_size=1)


MAKING = """
import os, signal, sys
from pathlib import Path
import mlflow.store.db.utils as made
before = made._upgrade_db
def killed(engine):
    os.kill(os.getpid(), signal.SIGKILL)
made._upgrade_db = killed
from distributed_hbt.tracking.mlflow_store import connect, default_uri
connect(default_uri(Path(sys.argv[1])), "tests", Path(sys.argv[1]))
"""


def test_a_process_killed_while_the_database_is_made_leaves_none(tmp_path: Path) -> None:
    """Half a database, which every later start fails on until somebody removes it."""
    done = subprocess.run([sys.executable, "-c", MAKING, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()
    assert list(tmp_path.glob("mlflow.db.partial-*"))
    client, _ = connect(default_uri(tmp_path), "tests", tmp_path)
    assert client.get_experiment_by_name("tests") is not None
    assert list(tmp_path.glob("mlflow.db.partial*")) == []


def test_half_a_database_of_other_making_is_named(tmp_path: Path) -> None:
    """MLflow says that a table exists already, and nobody knows what to do."""
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER)")
    with pytest.raises(ConfigError, match=r"half made.* holds no run; remove the file$"):
        connect(default_uri(tmp_path), "tests", tmp_path)
