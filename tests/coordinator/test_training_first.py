"""Ranks that wait for room, and an evaluation that holds it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.util.placement_group import placement_group, placement_group_table

from distributed_hbt.coordinator.capacity import Share
from distributed_hbt.coordinator.room import (
    Claim,
    living_nodes,
    lost_nodes,
    wait_for_room,
)
from distributed_hbt.errors import WorkerFailed
from tests.coordinator.evaluation_pool_cluster import CPUS, contents, expected, pool, ray_cluster, running
from tests.coordinator.evaluation_pool_jobs import Rows, Waiting, attempts, is_alive, processes, wait_for

__all__ = ["ray_cluster"]
pytestmark = pytest.mark.usefixtures("ray_cluster")

WHOLE_CLUSTER = (Share("training worker", CPUS, 1, 0),)


@pytest.fixture
def claim() -> Iterator[Claim]:
    made = Claim(is_alone=lambda: True)
    yield made
    made.clear()


def states() -> set[str]:
    return {group["state"] for group in placement_group_table().values()}


def get_room(claim: Claim, seconds: float = 60) -> None:
    wait_for_room(WHOLE_CLUSTER, "PACK", seconds, threading.Event(), living_nodes(), claim)


def start_ranks() -> None:
    """As Ray Train reserves for them."""
    assert placement_group([{"CPU": 1}] * CPUS).wait(60)


def test_idle_actors_give_way(tmp_path: Path, claim: Claim) -> None:
    """A restart that waits, until it gives up, for CPUs that nobody uses."""
    with pool(gives_way=claim.stands) as executor:
        claim.on_made(executor.rest)
        executor.run([Rows(tmp_path, 0), Rows(tmp_path, 1)], "first")
        get_room(claim)
        assert not any(map(is_alive, processes(tmp_path)))


def test_evaluation_in_the_middle_gives_way_and_goes_on_afterwards(tmp_path: Path, claim: Claim) -> None:
    """A training that waits for hours of evaluation; an evaluation that takes the ranks' room before they are
    there, counts it as failures, or never goes on."""
    jobs = [Waiting(tmp_path, 0), *(Rows(tmp_path, index) for index in range(1, 4))]
    with (
        pool(attempts=1, gives_way=claim.stands) as executor,
        running(executor, jobs) as errors,
    ):
        claim.on_made(executor.rest)
        wait_for(lambda: bool(attempts(tmp_path, 0)))
        get_room(claim)
        assert claim.stands()
        start_ranks()
        wait_for(lambda: not claim.stands())
        assert len(attempts(tmp_path, 0)) == 1
        claim.clear()  # the ranks have ended
        (tmp_path / "go").touch()
    assert errors == []
    assert contents(jobs) == expected(jobs)
    assert len(set(attempts(tmp_path, 0))) == 2


def test_reservation_of_the_wait_is_not_the_room_of_ranks(claim: Claim) -> None:
    """An evaluation that comes back between the end of the wait and the start of the ranks."""
    assert placement_group([{"CPU": 1}], name="hbt-room").wait(60)
    claim.make()
    assert claim.stands()


def test_claim_that_is_dropped_is_none(tmp_path: Path, claim: Claim) -> None:
    """A training that has ended, and keeps the evaluation from its actors for ever."""
    claim.make()
    with pool(gives_way=claim.stands) as executor, running(executor, [Rows(tmp_path, 0)]) as errors:
        assert claim.stands()
        claim.drop()
    assert errors == []
    assert len(attempts(tmp_path, 0)) == 1


def test_what_a_failed_start_leaves_reserved_is_given_back(claim: Claim) -> None:
    """Ranks that can never start again: their own group of the attempt before has all CPUs."""
    start_ranks()
    with pytest.raises(WorkerFailed, match=r"8 x training worker .* no CPUs were free after 1 s"):
        get_room(claim, seconds=1)
    Claim(is_alone=lambda: False).clear()
    assert "CREATED" in states(), "that of another run may be among them"
    claim.clear()
    get_room(claim)
    assert states() == {"REMOVED"}
    assert ray.is_initialized()


def test_node_that_came_back_is_not_lost() -> None:
    """The name of a node that is there as that of the cause; two nodes of one name taken for one."""
    assert lost_nodes({"1": "a (x)", "2": "b (y)"}, {"1": "a (x)", "3": "b (y)"}) == ""
    assert lost_nodes({"1": "a (x)", "2": "b (y)"}, {"1": "a (x)"}) == "; lost since the start: b (y)"
    assert lost_nodes({"1": "a (x)", "2": "a (x)"}, {"2": "a (x)"}) == "; lost since the start: a (x)"
