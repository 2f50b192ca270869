"""Checkpoints that are evaluated as they come, without any cluster."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.background import BackgroundCall
from distributed_hbt.coordinator.evaluation_feed import EvaluationFeed
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.tracking.base import Status
from distributed_hbt.tracking.datasets import DatasetFacts
from tests.distributed.run_for_tests import write_run
from tests.lareqa_files import write_lareqa
from tests.tiny_encoder import write_checkpoint

SECONDS_UNTIL_HUNG = 300


class Recorder:
    """A tracker that keeps the steps of evaluations."""

    run_id = "r"

    def __init__(self) -> None:
        self.evaluated: list[int] = []

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None: ...

    def log_evaluation(self, summary: Mapping[str, Any], step: int, measured: float | None = None) -> None:
        assert summary["step"] == step
        self.evaluated.append(step)

    def log_artifact(self, path: Path, folder: str = "") -> None: ...

    def log_datasets(self, datasets: Sequence[DatasetFacts]) -> None: ...

    def set_tags(self, tags: Mapping[str, str]) -> None: ...

    def watch_system(self) -> None: ...

    def close(self) -> None: ...

    def finish(self, status: Status) -> None: ...


@contextlib.contextmanager
def this_process() -> Iterator[Executor]:
    yield LocalExecutor("cpu")


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """30 steps, of which 10, 20 and 30 are evaluated."""
    run_file = write_run(
        tmp_path,
        train={"max_steps": 30, "checkpoint_every": 10},
        evaluation={"every": 10, "benchmarks": [write_lareqa(tmp_path / "tiny", ["de", "en"])]},
    )
    return load_run(run_file)


def complete(config: RunConfig, step: int, *, poison: bool = False) -> None:
    """The checkpoint of a step is written, its marker last."""
    folder = RunDirectory(config.run_dir).checkpoint(step)
    write_checkpoint(folder, ["de fact 1", "en fact 2 ?"], poison=poison)
    (folder / "COMPLETE").touch()


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_UNTIL_HUNG
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_end(call: BackgroundCall) -> None:
    assert call.is_over(SECONDS_UNTIL_HUNG)


def test_checkpoint_is_evaluated_while_training_goes_on(config: RunConfig) -> None:
    """Catches an evaluation that waits for the end of the training, sees a checkpoint that is not whole, or
    one that is not due."""
    tracker = Recorder()
    feed = EvaluationFeed(config, RunDirectory(config.run_dir), this_process, lambda: tracker)
    running = BackgroundCall(feed.run, "evaluation")
    RunDirectory(config.run_dir).checkpoint(10).mkdir(parents=True)  # could not be evaluated like this
    complete(config, 15)
    complete(config, 20)
    assert not running.is_over(1.5)
    assert tracker.evaluated == []
    complete(config, 10)
    wait_until(lambda: tracker.evaluated == [10, 20])
    assert not running.is_over(0)
    complete(config, 30)
    feed.training_is_over()
    wait_for_end(running)
    running.result()
    assert tracker.evaluated == [10, 20, 30]


def test_failed_evaluation_keeps_no_other_from_its_own(config: RunConfig) -> None:
    """Catches one bad checkpoint that costs all later results, and a failure that nobody hears of."""
    tracker = Recorder()
    feed = EvaluationFeed(config, RunDirectory(config.run_dir), this_process, lambda: tracker)
    for step in (10, 20, 30):
        complete(config, step, poison=step == 20)
    feed.training_is_over()
    with pytest.raises(WorkerFailed, match="step-00000020") as caught:
        feed.run()
    assert caught.value.exit_code == 1
    assert tracker.evaluated == [10, 30]


def test_failed_evaluation_is_tried_once_more_after_the_training(config: RunConfig) -> None:
    """Catches an evaluation given up because the store was locked for a moment, days before the end."""
    tracker = Recorder()
    feed = EvaluationFeed(config, RunDirectory(config.run_dir), this_process, lambda: tracker)
    complete(config, 10, poison=True)
    running = BackgroundCall(feed.run, "evaluation")
    complete(config, 20)
    wait_until(lambda: tracker.evaluated == [20])
    shutil.rmtree(RunDirectory(config.run_dir).checkpoint(10))
    complete(config, 10)
    complete(config, 30)
    feed.training_is_over()
    wait_for_end(running)
    running.result()
    assert tracker.evaluated == [20, 30, 10]


def test_results_outlive_a_checkpoint_that_was_not_kept(config: RunConfig) -> None:
    """Catches a run that is submitted again and waits for ever for a checkpoint that its rules have removed,
    or that loses its results."""
    directory, first, second = RunDirectory(config.run_dir), Recorder(), Recorder()
    complete(config, 10)
    feed = EvaluationFeed(config, directory, this_process, lambda: first)
    feed.training_is_over()
    feed.run()
    shutil.rmtree(directory.checkpoint(10))
    complete(config, 20)
    complete(config, 30)
    feed = EvaluationFeed(config, directory, this_process, lambda: second)
    feed.training_is_over()
    feed.run()
    assert (first.evaluated, second.evaluated) == ([10], [10, 20, 30])


def test_training_that_ended_early_ends_the_wait(config: RunConfig) -> None:
    """Catches waiting for ever for a checkpoint that never comes; what is there is evaluated."""
    tracker = Recorder()
    feed = EvaluationFeed(config, RunDirectory(config.run_dir), this_process, lambda: tracker)
    complete(config, 10)
    running = BackgroundCall(feed.run, "evaluation")
    feed.training_is_over()
    wait_for_end(running)
    running.result()
    assert tracker.evaluated == [10]


def test_abandoned_feed_ends_without_an_error(config: RunConfig) -> None:
    """Catches a stop that waits for the training's end, or reports an evaluation that it broke off itself."""
    feed = EvaluationFeed(config, RunDirectory(config.run_dir), this_process, Recorder)
    running = BackgroundCall(feed.run, "evaluation")
    feed.abandon()
    wait_for_end(running)
    running.result()
