"""A whole run in this process group: train, then evaluate what is due, tracked as one run.

Heavy libraries are imported only once the configuration and the run directory have been checked.
"""

import json
import logging
from typing import TYPE_CHECKING

from distributed_hbt.config.paths import check_inputs
from distributed_hbt.config.run import RunConfig
from distributed_hbt.distributed.process_group import Ranks, ranks_from_environment
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory, check_run_directory, write_config
from distributed_hbt.tracking.base import Status, Tracker
from distributed_hbt.train.zero import with_deepspeed

if TYPE_CHECKING:
    from distributed_hbt.train.worker import Prepared

_log = logging.getLogger(__name__)


def start(config: RunConfig) -> None:
    """Check everything that can be checked in a second, then train and evaluate. Raises HbtError."""
    ranks = ranks_from_environment()
    check_inputs(config)
    config = with_deepspeed(config)
    check_world(config, ranks)
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
    """One rank's part. Rank 0 tracks, and evaluates after the ranks have parted, so that no rank waits."""
    prepared = _prepare_unless_done(config, directory)
    if not ranks.is_first:
        _train(config, ranks, directory, prepared, None)
        return
    from distributed_hbt.tracking.open import open_tracker

    write_config(directory, config)
    tracker = open_tracker(config, directory.path, world_size=ranks.world_size)
    status: Status = "FAILED"
    try:
        tracker.log_artifact(directory.config)
        _train(config, ranks, directory, prepared, tracker)
        evaluate_due(config, directory, tracker)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracker.finish(status)


def evaluate_due(config: RunConfig, directory: RunDirectory, tracker: Tracker) -> None:
    """Evaluate the checkpoints that are due and have no results yet; log all results."""
    if not config.evaluation.benchmarks:
        return
    from distributed_hbt.evaluation.evaluate import evaluate_checkpoint

    for step in due_steps(config):
        out = directory.evaluation(step)
        for summary in evaluate_checkpoint(config.evaluation, directory.checkpoint(step), out):
            tracker.log_evaluation(json.loads(summary.read_text(encoding="utf-8")), step=step)
            tracker.log_artifact(summary, folder=str(summary.parent.relative_to(directory.path)))


def due_steps(config: RunConfig) -> list[int]:
    """Steps whose checkpoints are evaluated: multiples of `evaluation.every`, and the last."""
    every = config.evaluation.every or config.train.max_steps
    return sorted({*range(every, config.train.max_steps + 1, every), config.train.max_steps})


def _prepare_unless_done(config: RunConfig, directory: RunDirectory) -> "Prepared | None":
    """The run's data, or None where all steps are done. Unusable data is refused here, before anything of
    the run is written."""
    if (directory.checkpoint(config.train.max_steps) / "COMPLETE").exists():
        _log.info("all %d steps are done", config.train.max_steps)
        return None
    from distributed_hbt.train.worker import prepare

    return prepare(config)


def _train(
    config: RunConfig,
    ranks: Ranks,
    directory: RunDirectory,
    prepared: "Prepared | None",
    tracker: Tracker | None,
) -> None:
    if prepared is None:
        return
    import torch.distributed as dist

    from distributed_hbt.step_log import StepLog
    from distributed_hbt.train.worker import train

    if tracker is None:
        train(config, ranks, directory, prepared)
    else:
        with StepLog(directory, tracker, config.train.max_steps) as log:
            train(config, ranks, directory, prepared, log_from=log.start, tracking_run=tracker.run_id)
    dist.destroy_process_group()
