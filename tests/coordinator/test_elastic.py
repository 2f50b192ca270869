"""How many ranks there is room for on a Ray cluster, part of which somebody else has."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.util.placement_group import placement_group, remove_placement_group

from distributed_hbt.coordinator.elastic import Size, Surroundings
from distributed_hbt.coordinator.room import Claim, living_nodes
from distributed_hbt.coordinator.stop_file import StopFile
from distributed_hbt.errors import WorkerFailed
from tests.coordinator.evaluation_pool_cluster import CPUS, ray_cluster
from tests.coordinator.evaluation_pool_jobs import SECONDS_UNTIL_HUNG
from tests.unit.coordinator.test_sizes import run

__all__ = ["ray_cluster"]
pytestmark = pytest.mark.usefixtures("ray_cluster")

ELASTIC = {"min_workers": 1, "max_workers": 8, "gpus_per_worker": 0, "evaluation_actors": 0}


@contextlib.contextmanager
def taken(cpus: int) -> Iterator[None]:
    """In the block somebody else has so many CPUs."""
    group = placement_group([{"CPU": 1}] * cpus)
    assert group.wait(SECONDS_UNTIL_HUNG)
    try:
        yield
    finally:
        remove_placement_group(group)


def around() -> Surroundings:
    return Surroundings(living_nodes(), Claim(is_alone=lambda: True), threading.Event())


def size_of(**cluster: Any) -> Size:
    return Size(run(8, **{**ELASTIC, **cluster}))


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_UNTIL_HUNG
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_first_start_waits_and_then_takes_the_largest_size_that_fits() -> None:
    """A run that is started small though the cluster was only about to be free, or not at all, or with 3
    ranks for 8 rows."""
    size = size_of(num_workers=8, wait_seconds=2)
    with taken(CPUS - 3):
        began = time.monotonic()
        size.find_room(around())
    assert time.monotonic() - began >= 2
    assert size.ranks == 2


def test_restart_waits_for_its_own_time_and_then_shrinks() -> None:
    """A node that comes back in a moment, and finds its run started smaller; a run that waits for ever."""
    size = size_of(num_workers=8, wait_seconds=SECONDS_UNTIL_HUNG, shrink_after_seconds=3)
    size.find_room(around())
    assert size.ranks == 8
    with taken(1):
        began = time.monotonic()
        size.find_room(around())
    assert 3 <= time.monotonic() - began < SECONDS_UNTIL_HUNG
    assert size.ranks == 4


def test_without_room_for_the_least_the_error_says_what_is_missing() -> None:
    """A run that waits for ever; an error that names the number that was wished for, not the least that would
    do."""
    size = size_of(num_workers=8, min_workers=4, wait_seconds=1)
    with taken(CPUS - 3), pytest.raises(WorkerFailed) as caught:
        size.find_room(around())
    assert (
        "the run needs 4 x training worker (1 CPU each); the cluster has 1 node with 8 CPUs, of which 3 CPUs "
        in (str(caught.value))
    )
    assert str(caught.value).endswith("; free some, lower cluster.min_workers, or raise cluster.wait_seconds")


@pytest.mark.parametrize(("actors", "left", "ranks"), [(1, 8, 4), (5, 8, 2), (7, 8, 1), (8, 4, 4)])
def test_smaller_run_leaves_the_evaluation_its_room_where_any_size_does(
    actors: int, left: int, ranks: int
) -> None:
    """An evaluation that can not begin before the training has ended, though fewer ranks would let it; or a
    training that does not go on since no size leaves the evaluation its room."""
    benchmark = {"name": "xquad_r", "root": "r", "languages": ["en"]}
    cluster = {**ELASTIC, "num_workers": 8, "evaluation_actors": actors, "wait_seconds": 1}
    size = Size(run(8, benchmark, **cluster))
    with taken(CPUS - left) if left < CPUS else contextlib.nullcontext():
        size.find_room(around())
    assert size.ranks == ranks


def test_run_of_fixed_size_waits_for_all_of_its_room() -> None:
    """Bounds that were never given."""
    size = size_of(num_workers=8, min_workers=None, max_workers=None, wait_seconds=1)
    with taken(1), pytest.raises(WorkerFailed, match="needs 8 x training worker"):
        size.find_room(around())


def test_lasting_room_is_asked_for_once_and_given_up_when_it_is_gone(tmp_path: Path) -> None:
    """Ranks that end for a node that has left again, or for room that the evaluation is to have; a run that
    never grows."""
    stop_file = StopFile(tmp_path / "stop")
    stop_file.reset()
    size = size_of(num_workers=2, grow_after_seconds=1)
    size.find_room(around())
    with taken(2), size.growth(stop_file) as growth:  # the ranks themselves
        with taken(CPUS - 2 - 3):
            until(stop_file.pause_asked)
            assert growth.wanted == 4
            assert not stop_file.asked()
            with taken(3):
                until(lambda: not stop_file.pause_asked())
        until(lambda: growth.wanted == 8)
    with taken(2), size_of(num_workers=2, max_workers=2).growth(stop_file) as growth:
        assert not stop_file.pause_asked()
    assert growth.wanted is None


def test_every_shrinking_doubles_the_patience_before_the_next_growth(tmp_path: Path) -> None:
    """A node that comes and goes, and takes the run up and down with it all day."""
    size = size_of(num_workers=4, wait_seconds=2, shrink_after_seconds=1, grow_after_seconds=10)
    seconds = [size.growth(StopFile(tmp_path / "stop")).seconds]
    for left in (3, 1):
        with taken(CPUS - left):
            size.find_room(around())
            seconds.append(size.growth(StopFile(tmp_path / "stop")).seconds)
    assert seconds == [10, 20, 40]
    assert size.ranks == 1
