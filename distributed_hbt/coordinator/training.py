"""The ranks of a run under Ray Train, and what happens when some of them are lost."""

import logging
import os
import tempfile
import threading
from dataclasses import replace
from typing import Any

from distributed_hbt.config.run import ClusterConfig, RunConfig
from distributed_hbt.coordinator.capacity import training_share
from distributed_hbt.coordinator.elastic import Size, surroundings
from distributed_hbt.coordinator.failures import Failure, explain
from distributed_hbt.coordinator.rank import rank_environment, run_rank
from distributed_hbt.coordinator.room import Claim, living_nodes, lost_nodes
from distributed_hbt.coordinator.stop_file import StopFile
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.guards.stall import Stall

_log = logging.getLogger(__name__)


def train(config: RunConfig, directory: RunDirectory, claim: Claim, stop: threading.Event) -> None:
    """Train to the last step on the connected cluster, or until the ranks were asked to stop: `stop` says so.

    An attempt that loses a process or a node is followed by another one, `cluster.max_restarts` times: each
    resumes from the last checkpoint. Where there is no room for as many ranks it has fewer, and where there
    is room for more it ends at a checkpoint and one with more follows (`elastic`). All that is decided here
    and not by Ray Train's failure policy, which would also try wrong data again, wait for ever for a node
    that is gone, and end with its own controller.

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
    cluster, size, stop_file = config.cluster, Size(config), StopFile.of(directory)
    around = surroundings(claim, stop)
    restarts = 0
    while True:
        size.find_room(around)
        if stop.is_set():
            return
        Stall.forget(directory)
        with size.growth(stop_file) as growth:
            failure = _named(_attempt(config, size.ranks), directory)
        if stop.is_set() or stop_file.asked() or directory.is_complete(config.train.max_steps):
            return
        if failure is None and not growth.asked:
            return
        if failure is None:
            size.ranks = growth.wanted or size.ranks
            _log.info("starting again with %d ranks", size.ranks)
            continue
        claim.clear()
        _log.debug("%s", failure.trace)
        restarts += 1
        if restarts > cluster.max_restarts:
            raise _spent(failure, cluster)
        _log.warning("%s; starting again (%d of %d)", failure, restarts, cluster.max_restarts)


def _attempt(config: RunConfig, ranks: int) -> Failure | None:
    """Train until the ranks end; why, where that was before their time. Raises the HbtError of a rank."""
    from ray.exceptions import RayError
    from ray.train import TrainingFailedError

    before = living_nodes()
    with tempfile.TemporaryDirectory(prefix="hbt-ray-train-") as storage:
        try:
            _trainer(config, ranks, storage).fit()
        except (TrainingFailedError, RayError) as error:
            failure = explain(error)
            return replace(failure, what=f"{failure.what}{lost_nodes(before, living_nodes())}")
    return None


def _named(failure: Failure | None, directory: RunDirectory) -> Failure | None:
    """Ranks that ended since another one stalled say so in the run directory; all that Ray knows is that they
    died."""
    stall = None if failure is None else Stall.of(directory)
    return failure if failure is None or stall is None else Failure(stall.where, stall.what, failure.trace)


def _trainer(config: RunConfig, ranks: int, storage: str) -> Any:
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
            num_workers=ranks,
            use_gpu=cluster.gpus_per_worker > 0,
            resources_per_worker=training_share(cluster).bundle,
            placement_strategy=cluster.placement.upper(),
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
