"""A whole run on a Ray cluster: ranks under Ray Train, evaluation beside them, one tracked run."""

import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from distributed_hbt.config.paths import check_inputs
from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.background import BackgroundCall
from distributed_hbt.coordinator.capacity import check_capacity, holds_at_once
from distributed_hbt.coordinator.cluster import connected, is_copied_code
from distributed_hbt.coordinator.evaluation_feed import EvaluationFeed, executor_of
from distributed_hbt.coordinator.room import Claim, cluster_nodes
from distributed_hbt.coordinator.run_tracking import RunTracking
from distributed_hbt.coordinator.sizes import usable_sizes
from distributed_hbt.coordinator.stop_file import StopFile, StopWish
from distributed_hbt.coordinator.training import train
from distributed_hbt.errors import ConfigError
from distributed_hbt.pipeline import due_steps
from distributed_hbt.run_directory import RunDirectory, check_run_directory
from distributed_hbt.run_lock import hold
from distributed_hbt.stop_signals import StopSignals
from distributed_hbt.tracking.base import Status
from distributed_hbt.train.zero import with_deepspeed

_LOOK_SECONDS = 0.2
_PARTING_SECONDS = 10.0
_log = logging.getLogger(__name__)


def submit(configs: Sequence[RunConfig], address: str | None = None, *, runs_at_once: int | None = 1) -> None:
    """Train and evaluate runs on one cluster: at `address`, or one of this machine. One after the other, or
    `runs_at_once` of them, None for as many as the cluster can hold.

    What can be known in a second is checked before Ray starts, what the cluster can hold before anything is
    trained. After a run that failed no other one begins. Raises HbtError; KeyboardInterrupt where SIGTERM or
    Ctrl-C has ended the runs in good order.
    """
    runs = [_checked(config) for config in configs]
    with contextlib.ExitStack() as held:
        for config, directory in runs:
            wait = config.cluster.wait_seconds if config.cluster.name is not None else 0
            held.enter_context(hold(directory.submit_lock, "hbt submit", wait))
            StopFile.of(directory).reset(config.cluster.name)
        held.enter_context(connected(address))
        if is_copied_code():
            _refuse_relative_folders(configs)
        for config, _ in runs:
            fewest = usable_sizes(config)[0]
            check_capacity(config.cluster, cluster_nodes(), evaluates=bool(due_steps(config)), ranks=fewest)
        signals = StopSignals()  # after Ray, which takes SIGTERM for itself
        held.enter_context(signals)
        room = runs_at_once or holds_at_once([config.cluster for config, _ in runs], cluster_nodes())
        _run_all(runs, room, signals)


def _checked(config: RunConfig) -> tuple[RunConfig, RunDirectory]:
    """Paths become absolute: the ranks have working directories of their own."""
    config = config.model_copy(update={"output_dir": str(Path(config.output_dir).absolute())})
    if config.data.store_dir is not None:
        data = {"store_dir": str(Path(config.data.store_dir).absolute())}
        config = config.model_copy(update={"data": config.data.model_copy(update=data)})
    check_inputs(config)
    config = with_deepspeed(config)
    usable_sizes(config)
    return config, check_run_directory(config)


def _refuse_relative_folders(configs: Sequence[RunConfig]) -> None:
    for config in configs:
        if not Path(config.output_dir).is_absolute():
            what = f"{config.output_dir} is below the job's own copy of the code, and would be lost with it"
            raise ConfigError("output_dir", what, "give a folder that all machines share, from the root")


def _run_all(runs: Sequence[tuple[RunConfig, RunDirectory]], at_once: int, signals: StopSignals) -> None:
    """Each run has a thread; this one waits for them, and for signals, which the threads see too."""
    active: list[BackgroundCall] = []
    failure: BaseException | None = None
    for number, (config, directory) in enumerate(runs, start=1):
        while len(active) >= at_once and failure is None:
            failure = _ended(active)
        if failure is not None or signals.asked():
            break
        if len(runs) > 1:
            _log.info("%s (%d of %d)", config.name, number, len(runs))
        claim = Claim(is_alone=lambda: len(active) < 2)
        active.append(BackgroundCall(partial(_tracked, config, directory, signals, claim), config.name))
    while active:
        error = _ended(active)
        failure = failure or error
    if failure is not None:
        raise failure
    signals.raise_if_asked()


def _ended(active: list[BackgroundCall]) -> BaseException | None:
    """Take one run that has ended, if any, from those that are active; what it raised."""
    for call in active:
        if call.is_over(_LOOK_SECONDS):
            active.remove(call)
            return call.error
    return None


def _tracked(config: RunConfig, directory: RunDirectory, signals: StopSignals, claim: Claim) -> None:
    tracking = RunTracking(config, directory)
    wish = StopWish(signals, StopFile.of(directory))
    status: Status = "FAILED"
    try:
        _train_and_evaluate(config, directory, tracking, wish, claim)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        tracking.finish(status)
    directory.finished.touch()


def _train_and_evaluate(
    config: RunConfig,
    directory: RunDirectory,
    tracking: RunTracking,
    wish: StopWish,
    claim: Claim,
) -> None:
    """Training and evaluation have a thread each; this one waits for them, and for the wish to stop."""
    cluster = config.cluster
    open_executor = partial(executor_of, config, tracking.tracker, claim)
    feed = EvaluationFeed(config, directory, open_executor, tracking.tracker)
    beside = cluster.evaluation_actors > 0 and cluster.evaluation_placement == "beside"
    evaluation = BackgroundCall(feed.run, "evaluation") if beside else None
    try:
        _train(config, directory, claim, wish)
        feed.training_is_over()
        evaluation = evaluation or BackgroundCall(feed.run, "evaluation")
        while not evaluation.is_over(_LOOK_SECONDS):
            wish.raise_if_asked()
        evaluation.result()
    finally:
        feed.abandon()
        if evaluation is not None:
            evaluation.is_over(_PARTING_SECONDS)


def _train(config: RunConfig, directory: RunDirectory, claim: Claim, wish: StopWish) -> None:
    """Train to the last step. Raises KeyboardInterrupt where a stop was asked for: then the ranks have ended,
    or did not within `cluster.grace_seconds` and end with the connection to Ray."""
    if directory.is_complete(config.train.max_steps):
        _log.info("all %d steps are done", config.train.max_steps)
        return
    stop_file, stop = StopFile.of(directory), threading.Event()
    training = BackgroundCall(partial(train, config, directory, claim, stop), "training")
    ends_at: float | None = None
    while not training.is_over(_LOOK_SECONDS):
        if wish.asked() and ends_at is None:
            grace = config.cluster.grace_seconds
            _log.info("stopping: the ranks finish their step and write a checkpoint (%d s at most)", grace)
            stop.set()
            stop_file.ask()
            ends_at = time.monotonic() + grace
        if ends_at is not None and time.monotonic() > ends_at:
            _log.warning("the ranks have not ended in time and are killed")
            raise KeyboardInterrupt
    training.result()
    wish.raise_if_asked()
