"""Whether a cluster can hold a run, from what its nodes have."""

from typing import Any

import pytest

from distributed_hbt.config.run import ClusterConfig
from distributed_hbt.coordinator.capacity import Node, check_capacity, holds_at_once
from distributed_hbt.errors import ConfigError

EIGHT_GPUS = Node(cpus=96, gpus=8)


def refusal(nodes: list[Node], *, evaluates: bool = True, **cluster: Any) -> str:
    """Why the cluster is refused, "" where it is not."""
    try:
        check_capacity(ClusterConfig(**cluster), nodes, evaluates=evaluates)
    except ConfigError as error:
        return str(error)
    return ""


def test_run_that_just_fits_is_taken() -> None:
    """Catches a processor counted for Ray's own actors, which take none, and < where <= is meant."""
    assert refusal([EIGHT_GPUS] * 2, num_workers=15, evaluation_actors=1) == ""
    assert refusal([EIGHT_GPUS] * 2, num_workers=16, evaluation_actors=2, evaluation_gpus_per_actor=0) == ""
    assert refusal([Node(2, 0)], num_workers=2, gpus_per_worker=0, evaluation_placement="after") == ""


def test_what_is_missing_is_named_with_what_is_needed_and_there() -> None:
    """Catches a message that leaves the user to count, or counts only one of the two."""
    said = refusal([EIGHT_GPUS] * 2, num_workers=16, cpus_per_worker=8, evaluation_actors=2)
    assert said == (
        "cluster: the run needs 16 x training worker (8 CPUs and 1 GPU each) and 2 x evaluation actor "
        "(1 CPU and 1 GPU each); the cluster has 2 nodes with 96 CPUs and 8 GPUs; missing: 2 GPUs; lower "
        "cluster.num_workers or cpus_per_worker, or set cluster.evaluation_placement=after, or use a larger "
        "cluster (--address)"
    )


def test_evaluation_counts_only_beside_the_training_and_where_there_is_any() -> None:
    """Catches two cores that are refused for an actor that is never started."""
    two_cores = [Node(2, 0)]
    asked = {"num_workers": 2, "gpus_per_worker": 0}
    assert "; missing: 1 CPU; " in refusal(two_cores, **asked)
    assert refusal(two_cores, evaluates=False, **asked) == ""
    assert refusal(two_cores, evaluation_actors=0, **asked) == ""


def test_evaluation_after_the_training_has_to_fit_too() -> None:
    """Catches a run that trains for a week and then can not be evaluated."""
    said = refusal(
        [Node(2, 0)],
        num_workers=2,
        gpus_per_worker=0,
        evaluation_actors=3,
        evaluation_placement="after",
    )
    assert "needs 3 x evaluation actor (1 CPU each)" in said


def test_process_stays_within_one_node() -> None:
    """Catches GPUs that are added up over nodes for a worker that needs them in one."""
    said = refusal([Node(8, 3), Node(8, 3)], num_workers=1, gpus_per_worker=4, evaluation_actors=0)
    assert "a training worker does not fit beside the others on any node: none have room" in said
    said = refusal([Node(8, 3), Node(8, 3)], num_workers=3, gpus_per_worker=2, evaluation_actors=0)
    assert "only 2 of 3 have room" in said


def test_actors_share_a_gpu_by_parts() -> None:
    """Catches a fraction that is rounded up, or packed over the edge of a GPU's node."""
    asked = {"num_workers": 1, "evaluation_gpus_per_actor": 0.5}
    assert refusal([Node(8, 2)], evaluation_actors=2, **asked) == ""
    assert "; missing: 0.5 GPUs; " in refusal([Node(8, 2)], evaluation_actors=3, **asked)


def test_cluster_without_gpus_is_told_so() -> None:
    """Catches the advice to take fewer workers where none would fit."""
    said = refusal([Node(64, 0)], num_workers=2)
    assert "set cluster.gpus_per_worker=0 to train on CPUs" in said
    assert "num_workers" not in said


def test_cluster_without_nodes_has_none() -> None:
    """Catches a message with nothing in it."""
    with pytest.raises(ConfigError, match="the cluster has no nodes"):
        check_capacity(ClusterConfig(), [], evaluates=False)


def test_as_many_runs_at_once_as_the_largest_of_them_leaves_room_for() -> None:
    """Catches a count by the smallest run, by CPUs alone, or over the borders of nodes."""
    small = ClusterConfig(num_workers=1, gpus_per_worker=0, evaluation_actors=0)
    large = ClusterConfig(num_workers=4, evaluation_actors=0)
    assert holds_at_once([small], [Node(2, 0)]) == 2
    assert holds_at_once([small, large], [EIGHT_GPUS] * 2) == 4
    assert holds_at_once([large], [Node(96, 6)]) == 1
    assert holds_at_once([large], [Node(1, 0)]) == 1
