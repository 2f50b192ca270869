"""The pool's progress in a real MLflow store (SQLite)."""

from pathlib import Path
from typing import Any

from distributed_hbt.config.load import validate
from distributed_hbt.coordinator.evaluation_pool_progress import TrackedProgress
from distributed_hbt.evaluation.jobs.job import Progress
from distributed_hbt.tracking.mlflow_store import default_uri
from distributed_hbt.tracking.open import open_tracker


def test_progress_is_in_mlflow_every_ten_seconds_and_at_the_end(tmp_path: Path) -> None:
    """Three numbers a second for days; a curve that never comes to its end."""
    from mlflow import MlflowClient

    model = {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 300}}}
    data = {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]}
    config = validate({"name": "run", "output_dir": str(tmp_path), "model": model, "data": data})
    config.run_dir.mkdir()
    tracker = open_tracker(config, config.run_dir, world_size=1)
    now = 50.0
    sink = TrackedProgress(lambda: tracker, clock=lambda: now)
    sink(Progress("kept", 7, 7, 0.0, 0.0))
    sink(Progress("miracl: queries", 0, 0, 0.0, 0.0))
    for second in range(25):
        now = 60.0 + second
        sink(
            Progress("miracl", 4 * second, 100, 4.0, 25.0 - second)
            if second
            else Progress("miracl", 0, 100, 0, None)
        )
    now += 1
    sink(Progress("miracl", 100, 100, 4.0, 0.0))
    tracker.finish("FINISHED")
    client = MlflowClient(tracking_uri=default_uri(tmp_path))

    def history(name: str) -> list[tuple[Any, Any]]:
        found = client.get_metric_history(tracker.run_id, f"evaluation/miracl/{name}")
        return sorted((metric.step, metric.value) for metric in found)

    assert history("share_done") == [(10, 0.0), (20, 0.4), (30, 0.8), (35, 1.0)]
    assert history("passages_per_second") == [(10, 0.0), (20, 4.0), (30, 4.0), (35, 4.0)]
    assert history("seconds_left") == [(20, 15.0), (30, 5.0), (35, 0.0)]
    assert {name.split("/")[1] for name in client.get_run(tracker.run_id).data.metrics} == {"miracl"}
