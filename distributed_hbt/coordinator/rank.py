"""What a worker of Ray Train does: find itself a rank, as under any launcher, and train."""

from typing import Any

from distributed_hbt.config.run import ClusterConfig, RunConfig
from distributed_hbt.coordinator.failures import RankFailed
from distributed_hbt.coordinator.stop_file import StopFile
from distributed_hbt.coordinator.worker_lines import log_to_driver
from distributed_hbt.distributed.process_group import ranks_from_environment
from distributed_hbt.errors import HbtError
from distributed_hbt.pipeline import train_only
from distributed_hbt.resource_errors import is_of_the_run, resource_failure
from distributed_hbt.run_directory import RunDirectory


def rank_environment(cluster: ClusterConfig) -> dict[str, str]:
    """Variables of a rank's process beside those that name its place, which Ray Train sets."""
    environment = {"OMP_NUM_THREADS": str(cluster.cpus_per_worker), "TOKENIZERS_PARALLELISM": "false"}
    if not cluster.gpus_per_worker:
        environment["CUDA_VISIBLE_DEVICES"] = ""  # a GPU of the machine is not the rank's to use
    return environment


def run_rank(settings: dict[str, Any]) -> None:
    """Train as one rank; `settings` has the resolved `config`. Raises HbtError, or RankFailed for anything
    else that is raised here."""
    config: RunConfig = settings["config"]
    ranks = ranks_from_environment()
    log_to_driver(None if ranks.is_first else f"rank {ranks.rank}")
    directory = RunDirectory(config.run_dir)
    stop_file = StopFile.of(directory)
    try:
        stop_file.check_shared()
        train_only(config, ranks, directory, stop_file.stopping(ranks))
    except HbtError:
        raise
    # Whatever it is, it has to reach the coordinator in another process, with this rank's place.
    except Exception as error:
        failure = resource_failure(error)
        if failure is not None and is_of_the_run(error):
            raise failure from None
        import ray

        raise RankFailed.of(error, ray.util.get_node_ip_address()) from None
