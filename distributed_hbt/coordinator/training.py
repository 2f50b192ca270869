"""The ranks of a run under Ray Train, and what happens when some of them are lost."""

import itertools
import logging
import os
import tempfile
import threading
from dataclasses import replace
from typing import Any

from distributed_hbt.config.run import ClusterConfig, RunConfig
from distributed_hbt.coordinator.capacity import shares_at_once, training_share
from distributed_hbt.coordinator.failures import Failure, explain
from distributed_hbt.coordinator.rank import rank_environment, run_rank
from distributed_hbt.coordinator.room import (
    Claim,
    living_nodes,
    lost_nodes,
    wait_for_room,
)
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.pipeline import due_steps
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.stall import Stall

_log = logging.getLogger(__name__)


def train(config: RunConfig, directory: RunDirectory, claim: Claim, stop: threading.Event) -> None:
    """Train to the last step on the connected cluster, or until the ranks were asked to stop: `stop` says so.

    An attempt that loses a process or a node is followed by another one, `cluster.max_restarts` times: each
    resumes from the last checkpoint. That is decided here and not by Ray Train's failure policy, which would
    also try wrong data again, wait for ever for a node that is gone, and end with its own controller.

    Raises HbtError: that of a rank, or WorkerFailed naming the rank, its node and the cause.
    """
    _settle_ray_train(config.cluster)
    try:
        _train_with_restarts(config, directory, claim, stop)
    finally:
        claim.drop()


def _train_with_restarts(
    config: RunConfig, directory: RunDirectory, claim: Claim, stop: threading.Event
) -> None:
    cluster = config.cluster
    shares = shares_at_once(cluster, evaluates=bool(due_steps(config)))
    at_first = living_nodes()
    for restart in itertools.count(1):
        wait_for_room(shares, _strategy(cluster), cluster.wait_seconds, stop, at_first, claim)
        shares = (training_share(cluster),)  # the evaluation has its own by now
        if stop.is_set():
            return
        Stall.forget(directory)
        failure = _named(_attempt(config), directory)
        if failure is None or stop.is_set() or directory.is_complete(config.train.max_steps):
            return
        claim.clear()
        _log.debug("%s", failure.trace)
        if restart > cluster.max_restarts:
            raise _spent(failure, cluster)
        _log.warning("%s; starting again (%d of %d)", failure, restart, cluster.max_restarts)


def _attempt(config: RunConfig) -> Failure | None:
    """Train until the ranks end; why, where that was before their time. Raises the HbtError of a rank."""
    from ray.exceptions import RayError
    from ray.train import TrainingFailedError

    before = living_nodes()
    with tempfile.TemporaryDirectory(prefix="hbt-ray-train-") as storage:
        try:
            _trainer(config, storage).fit()
        except (TrainingFailedError, RayError) as error:
            failure = explain(error)
            return replace(failure, what=f"{failure.what}{lost_nodes(before, living_nodes())}")
    return None


def _named(failure: Failure | None, directory: RunDirectory) -> Failure | None:
    """Ranks that ended since another one stalled say so in the run directory; all that Ray knows is that they
    died."""
    stall = None if failure is None else Stall.of(directory)
    return failure if failure is None or stall is None else Failure(stall.where, stall.what, failure.trace)


def _trainer(config: RunConfig, storage: str) -> Any:
    """`storage` is Ray Train's own; the run's files are written by the ranks as under any launcher."""
    from ray.train import FailureConfig, ScalingConfig
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchTrainer
    from ray.train.v2.api.config import LoggingConfig

    from distributed_hbt.coordinator.torch_backend import NodeAddressTorchConfig

    cluster = config.cluster
    return TorchTrainer(
        run_rank,
        train_loop_config={"config": config},
        torch_config=NodeAddressTorchConfig(
            backend="nccl" if cluster.gpus_per_worker else "gloo",
            timeout_s=cluster.collective_timeout_seconds,
        ),
        scaling_config=ScalingConfig(
            num_workers=cluster.num_workers,
            use_gpu=cluster.gpus_per_worker > 0,
            resources_per_worker=training_share(cluster).bundle,
            placement_strategy=_strategy(cluster),
        ),
        run_config=RayRunConfig(
            name=config.name,
            storage_path=storage,
            failure_config=FailureConfig(
                max_failures=0, max_preemption_failures=0, controller_failure_limit=0
            ),
            worker_runtime_env={"env_vars": rank_environment(cluster)},
            logging_config=LoggingConfig(log_level="CRITICAL"),
        ),
    )


def _strategy(cluster: ClusterConfig) -> str:
    return cluster.placement.upper()


def _settle_ray_train(cluster: ClusterConfig) -> None:
    """What Ray Train can only be told by variables."""
    os.environ.update(
        RAY_TRAIN_V2_ENABLED="1",
        RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="1",
        RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S=str(cluster.collective_timeout_seconds),
        RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S=str(cluster.wait_seconds),
        RAY_TRAIN_ENABLE_PREEMPTION_WATCHER="0",  # a node that is taken away is a lost one
        RAY_TRAIN_ENABLE_PRINT_PATCH="0",
        RAY_TRAIN_METRICS_ENABLED="0",
        RAY_CHDIR_TO_TRIAL_DIR="0",
    )


def _spent(failure: Failure, cluster: ClusterConfig) -> WorkerFailed:
    remedy = "submit again to resume from the last checkpoint"
    what = f"{failure.what}; cluster.max_restarts ({cluster.max_restarts}) restarts are spent"
    return WorkerFailed(failure.where, what, remedy)
