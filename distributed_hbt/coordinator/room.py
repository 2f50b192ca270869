"""Room for the ranks on the connected cluster: waiting until it is there, before all else."""

import itertools
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distributed_hbt.coordinator.capacity import Node, Share, amounts, listing, sentence
from distributed_hbt.errors import WorkerFailed

_POLL_SECONDS = 0.5
_SILENT_POLLS = 10
_RESERVATION = "hbt-room"
"""What the names of reservations begin with: several runs may wait at the same time, and names are unique."""
_log = logging.getLogger(__name__)


class Claim:
    """Ranks that wait for room claim what the evaluation holds: from then on until they have their own.

    `make`, `drop` and `clear` are the training's; `stands` is asked, and `on_made` said, by the evaluation.
    """

    def __init__(self, is_alone: Callable[[], bool]) -> None:
        """`is_alone`: whether no other run trains from this process."""
        self._is_alone = is_alone
        self._made = threading.Event()
        self._give_way: list[Callable[[], None]] = []

    def on_made(self, give_way: Callable[[], None]) -> None:
        """Call this, from the training's thread, every time the claim is made."""
        self._give_way.append(give_way)

    def make(self) -> None:
        """Claim; may be repeated, where what was given back did not do."""
        self._made.set()
        for give_way in self._give_way:
            give_way()

    def drop(self) -> None:
        """Nothing waits for room."""
        self._made.clear()

    def clear(self) -> None:
        """Remove what a failed start of ranks leaves reserved: Ray itself keeps it until this job ends.

        Not beside other runs: which reservation is whose, Ray does not tell.
        """
        if self._is_alone():
            _remove_left_groups()

    def stands(self) -> bool:
        """Whether the evaluation is to hold nothing. Asks the connected cluster while it does."""
        if self._made.is_set() and _ranks_have_room():
            self._made.clear()
        return self._made.is_set()


def cluster_nodes() -> list[Node]:
    """The nodes that are alive in the connected cluster."""
    import ray

    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(has.get("CPU", 0.0), has.get("GPU", 0.0)) for has in resources]


def living_nodes() -> dict[str, str]:
    """NodeID -> `address (host name)` of the nodes that are alive in the connected cluster."""
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    return {node["NodeID"]: f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']})" for node in alive}


def lost_nodes(at_first: Mapping[str, str], now: Mapping[str, str]) -> str:
    """`; lost since the start: <nodes>` for people, "" where none is: one that came back is not lost."""
    lost = sorted((Counter(at_first.values()) - Counter(now.values())).elements())
    return f"; lost since the start: {', '.join(lost)}" if lost else ""


def wait_for_room(
    shares: Sequence[Share],
    strategy: str,
    seconds: float,
    stop: threading.Event,
    at_first: Mapping[str, str],
    claim: Claim,
) -> None:
    """Return once the connected cluster has these resources free, or `stop` is set. Where they are not at
    once, the `claim` is made.

    Raises WorkerFailed after `seconds`, saying what is needed and there, and which of the nodes that were
    alive `at_first` are lost.
    """
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    bundles = [bundle for share in shares for bundle in [share.bundle] * share.count]
    # Only Ray's scheduler can say what fits where: reserve it all, and give it back.
    group = placement_group(bundles, strategy=strategy, name=f"{_RESERVATION}-{uuid.uuid4().hex[:8]}")
    try:
        deadline = time.monotonic() + seconds
        for attempt in itertools.count(1):
            if group.wait(_POLL_SECONDS) or stop.is_set():
                return
            if attempt == _SILENT_POLLS:
                _log.info("waiting up to %d s for %s to be free", seconds, sentence(shares))
            if attempt >= _SILENT_POLLS:
                claim.make()
            if time.monotonic() >= deadline:
                free = ray.available_resources()
                there = amounts(free.get("CPU", 0.0), free.get("GPU", 0.0))
                what = (
                    f"the run needs {sentence(shares)}; the cluster has {listing(cluster_nodes())}, of which "
                    f"{there} were free after {seconds:g} s{lost_nodes(at_first, living_nodes())}"
                )
                raise WorkerFailed("cluster", what, "free some, ask for less, or raise cluster.wait_seconds")
    finally:
        remove_placement_group(group)


def has_room(shares: Sequence[Share], strategy: str, seconds: float) -> bool:
    """Whether the connected cluster has these resources free, now or within `seconds`."""
    from ray.util.placement_group import placement_group, remove_placement_group

    bundles = [bundle for share in shares for bundle in [share.bundle] * share.count]
    group = placement_group(bundles, strategy=strategy, name=f"{_RESERVATION}-{uuid.uuid4().hex[:8]}")
    try:
        return bool(group.wait(seconds))
    finally:
        remove_placement_group(group)


def _remove_left_groups() -> None:
    import ray
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    for found in _own_groups():
        group_id = ray.PlacementGroupID.from_hex(found["placement_group_id"])
        remove_placement_group(PlacementGroup(group_id))


def _ranks_have_room() -> bool:
    return any(
        group["state"] == "CREATED" and not group["name"].startswith(_RESERVATION) for group in _own_groups()
    )


def _own_groups() -> list[dict[str, Any]]:
    """Placement groups of this job that are not removed. A group's id ends with its job's."""
    import ray
    from ray.util.placement_group import placement_group_table

    job = ray.get_runtime_context().get_job_id()
    groups = placement_group_table().values()
    return [g for g in groups if g["placement_group_id"].endswith(job) and g["state"] != "REMOVED"]
