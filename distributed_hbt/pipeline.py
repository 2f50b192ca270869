"""A whole run in this process group: train, then evaluate what is due, tracked as one run.

Heavy libraries are imported only once the configuration and the run directory have been checked.
"""

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from distributed_hbt.config.paths import check_inputs
from distributed_hbt.config.run import RunConfig
from distributed_hbt.distributed.process_group import Ranks, ranks_from_environment
from distributed_hbt.errors import ConfigError
from distributed_hbt.lineage import benchmark_dataset, data_tags, training_datasets
from distributed_hbt.remote.copier import copying
from distributed_hbt.remote.fetch import fetch_if_empty
from distributed_hbt.run_directory import RunDirectory, check_run_directory, write_config
from distributed_hbt.run_lock import hold
from distributed_hbt.start_times import Lap, StartTimes
from distributed_hbt.stop_signals import Stopping, StopSignals
from distributed_hbt.tracking.base import Status, Tracker
from distributed_hbt.train.zero import with_deepspeed

if TYPE_CHECKING:
    from distributed_hbt.evaluation.jobs.job import Executor
    from distributed_hbt.train.prepared import Prepared

_log = logging.getLogger(__name__)


def start(config: RunConfig) -> None:
    """Check everything that can be checked in a second, then train and evaluate. Raises HbtError."""
    ranks = ranks_from_environment()
    check_inputs(config)
    config = with_deepspeed(config)
    check_world(config, ranks)
    fetch_if_empty(config, due_steps(config))
    train_and_evaluate(config, ranks, check_run_directory(config))


def check_world(config: RunConfig, ranks: Ranks) -> None:
    """Every rank gets the same number of rows. Raises ConfigError otherwise."""
    if config.train.global_batch_size % ranks.world_size:
        raise ConfigError(
            "train.global_batch_size",
            f"{config.train.global_batch_size} rows can not be shared evenly by {ranks.world_size} ranks",
            "make it a multiple of the number of processes",
        )


def train_and_evaluate(config: RunConfig, ranks: Ranks, directory: RunDirectory) -> None:
    """One rank's part. Rank 0 tracks, and evaluates after the ranks have parted, so that no rank waits.

    Raises KeyboardInterrupt on every rank where one of them was asked to stop while it trained.
    """
    times = StartTimes()
    prepared = _prepare_unless_done(config, directory, times.lap)
    signals = StopSignals(config.cluster.grace_seconds)
    if not ranks.is_first:
        if not _train(config, ranks, directory, prepared, None, signals, times):
            raise KeyboardInterrupt
        return
    with _alone(config, directory), copying(config, directory, due_steps(config)):
        tracker = _open_tracker(config, ranks, directory, prepared)
        times.lap("tracking")
        status: Status = "FAILED"
        try:
            failed = partial(tracker.finish, "FAILED")
            done = _train(config, ranks, directory, prepared, tracker, signals, times, failed)
            if not done or signals.asked():
                raise KeyboardInterrupt
            evaluate_due(config, directory, tracker)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            tracker.finish(status)
        directory.finished.touch()


def train_only(config: RunConfig, ranks: Ranks, directory: RunDirectory, stopping: Stopping) -> bool:
    """One rank's training, where evaluation and the end of the run are somebody else's. Rank 0 tracks.

    Returns whether all steps are done: they are not where `stopping` asked any rank to stop.
    """
    times = StartTimes(is_own_process=False)
    prepared = _prepare_unless_done(config, directory, times.lap)
    if prepared is None or not ranks.is_first:
        return _train(config, ranks, directory, prepared, None, stopping, times)
    with _alone(config, directory):
        tracker = _open_tracker(config, ranks, directory, prepared)
        times.lap("tracking")
        try:
            return _train(config, ranks, directory, prepared, tracker, stopping, times, tracker.close)
        finally:
            tracker.close()


def evaluate_due(config: RunConfig, directory: RunDirectory, tracker: Tracker) -> None:
    """Evaluate the checkpoints that are due and have no results yet, in this process; log all results."""
    from distributed_hbt.evaluation.jobs.local import LocalExecutor

    executor = LocalExecutor(max_attempts=config.evaluation.max_attempts)
    for step in due_steps(config):
        evaluate_step(config, directory, step, tracker, executor)


def evaluate_step(
    config: RunConfig, directory: RunDirectory, step: int, tracker: Tracker, executor: "Executor"
) -> None:
    """Evaluate the checkpoint after `step` steps, unless its results are there; log them."""
    from distributed_hbt.evaluation.results import PER_QUERY

    for summary in _summaries(config, directory, step, executor):
        content = json.loads(summary.read_text(encoding="utf-8"))
        tracker.log_evaluation(content, step, summary.stat().st_mtime)
        folder = str(summary.parent.relative_to(directory.path))
        for file in (summary, summary.with_name(PER_QUERY)):
            tracker.log_artifact(file, folder=folder)
        dataset = benchmark_dataset(config, content)
        tracker.log_datasets([dataset] if dataset else [])


def _summaries(config: RunConfig, directory: RunDirectory, step: int, executor: "Executor") -> list[Path]:
    """Of the checkpoint's results, which outlive a checkpoint that was not to be kept."""
    from distributed_hbt.evaluation.evaluate import evaluate_checkpoint
    from distributed_hbt.evaluation.results import SUMMARY

    checkpoint, out = directory.checkpoint(step), directory.evaluation(step)
    labels = [benchmark.label for benchmark in config.evaluation.benchmarks]
    if not checkpoint.exists() and directory.has_results(step, labels):
        return [out / label / SUMMARY for label in labels]
    return evaluate_checkpoint(config.evaluation, checkpoint, out, stores=config.stores, executor=executor)


def due_steps(config: RunConfig) -> list[int]:
    """Steps whose checkpoints are evaluated, in order."""
    return config.evaluated_steps


def _prepare_unless_done(config: RunConfig, directory: RunDirectory, lap: Lap) -> "Prepared | None":
    """The run's data, or None where all steps are done. Unusable data is refused here, before anything of
    the run is written."""
    if directory.is_complete(config.train.max_steps):
        _log.info("all %d steps are done", config.train.max_steps)
        return None
    lap("process")
    from distributed_hbt.train.prepared import prepare

    lap("libraries")
    return prepare(config, lap)


def _alone(config: RunConfig, directory: RunDirectory) -> AbstractContextManager[None]:
    """One rank 0 writes. One that a dead launcher or a lost node has left behind may still do so: two at once
    would mix their files, and both create MLflow's database."""
    return hold(directory.training_lock, "training", config.cluster.wait_seconds)


def _open_tracker(
    config: RunConfig, ranks: Ranks, directory: RunDirectory, prepared: "Prepared | None"
) -> Tracker:
    from distributed_hbt.tracking.open import open_tracker

    write_config(directory, config)
    tracker = open_tracker(config, directory.path, world_size=ranks.world_size, lazily=True)
    tracker.log_artifact(directory.config)
    if config.tracking.system_metrics:
        tracker.watch_system()
    if prepared is not None:
        tracker.set_tags(data_tags(config, prepared.store))
        tracker.log_datasets(training_datasets(config, prepared.store))
    return tracker


def _train(
    config: RunConfig,
    ranks: Ranks,
    directory: RunDirectory,
    prepared: "Prepared | None",
    tracker: Tracker | None,
    stopping: Stopping,
    times: StartTimes,
    give_up: Callable[[], None] | None = None,
) -> bool:
    """Train, in rank 0 with the `tracker`; whether all steps are done. `give_up`: see worker.train."""
    if prepared is None:
        return True
    import torch.distributed as dist

    from distributed_hbt.step_log import StepLog
    from distributed_hbt.train.worker import train

    if tracker is None:
        done = train(config, ranks, directory, prepared, stopping=stopping, times=times)
    else:
        try:
            steps = config.train.max_steps
            with StepLog(directory, tracker, steps, world_size=ranks.world_size) as log:
                done = train(
                    *(config, ranks, directory, prepared),
                    log_from=log.start,
                    tracking_run=tracker.run_id,
                    stopping=stopping,
                    give_up=give_up,
                    times=times,
                )
        finally:
            _log_files(directory, tracker)
    dist.destroy_process_group()
    return done


def _log_files(directory: RunDirectory, tracker: Tracker) -> None:
    """What the training has written, also where it came to no good end."""
    if directory.train_log.exists():
        tracker.log_artifact(directory.train_log)
    for file in sorted(directory.profile.glob("*")):
        tracker.log_artifact(file, folder=directory.profile.name)
