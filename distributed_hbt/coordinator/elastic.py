"""Fewer ranks where nodes are lost, more where there is room again.

A run does not swing between two sizes: it gets smaller only when an attempt has failed and there was no room
for as many ranks for `cluster.shrink_after_seconds`, and larger only at a checkpoint, once there was room for
`cluster.grow_after_seconds` without a break; that time doubles every time that it gets smaller.
"""

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.capacity import Share, shares_at_once, training_share
from distributed_hbt.coordinator.room import Claim, cluster_nodes, has_room, living_nodes, wait_for_room
from distributed_hbt.coordinator.sizes import first_size, sizes_held, usable_sizes
from distributed_hbt.coordinator.stop_file import StopFile
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.pipeline import due_steps

_TRY_SECONDS = 5.0  # Ray's scheduler needs a moment, and so does an evaluation that gives way
_LOOK_SECONDS = 15.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What a search for room needs beside the run: the nodes that were alive `at_first`, the claim on what
    the evaluation holds, and the event that ends the search."""

    at_first: Mapping[str, str]
    claim: Claim
    stop: threading.Event


class Size:
    """How many ranks a run has, from one attempt to the next."""

    def __init__(self, config: RunConfig) -> None:
        """Raises ConfigError where no number of ranks shares the batch evenly."""
        self._config = config
        self._sizes = usable_sizes(config)
        self._started = False
        self._shrunk = 0
        self.ranks = first_size(config)

    def find_room(self, around: Surroundings) -> None:
        """Return once the cluster has room for `ranks`, which are fewer afterwards where it had none for as
        many, or the search was stopped.

        Raises WorkerFailed, saying what is needed and there, where there is none for `cluster.min_workers`
        after `cluster.wait_seconds`.
        """
        cluster, began = self._config.cluster, time.monotonic()
        patience = cluster.shrink_after_seconds if self._started else cluster.wait_seconds
        fewer = [size for size in self._sizes if size < self.ranks]
        if not fewer:
            self._wait(self.ranks, cluster.wait_seconds, around)
        else:
            try:
                self._wait(self.ranks, min(patience, cluster.wait_seconds), around)
            except WorkerFailed as error:
                _log.warning("%s: %s; trying fewer ranks", error.where, error.what)
                left = cluster.wait_seconds - (time.monotonic() - began)
                self._shrink(fewer, max(left, _TRY_SECONDS), around)
        self._started = True

    def growth(self, stop_file: StopFile) -> "Growth":
        """What watches for room for more, while `ranks` train."""
        larger = tuple(size for size in self._sizes if size > self.ranks)
        seconds = self._config.cluster.grow_after_seconds * 2**self._shrunk
        return Growth(self._config, self.ranks, larger, seconds, stop_file)

    def _wait(self, ranks: int, seconds: float, around: Surroundings) -> None:
        shares, strategy = self._shares(ranks), self._config.cluster.placement.upper()
        wait_for_room(shares, strategy, seconds, around.stop, around.at_first, around.claim)

    def _shares(self, ranks: int) -> tuple[Share, ...]:
        """At first also those of the evaluation; afterwards it has its own."""
        if self._started:
            return (training_share(self._config.cluster, ranks),)
        return shares_at_once(self._config.cluster, evaluates=bool(due_steps(self._config)), ranks=ranks)

    def _shrink(self, fewer: list[int], seconds: float, around: Surroundings) -> None:
        """To the largest size that there is room for, or else, in this time, to the smallest. Sizes that
        leave the evaluation its room come first; where none does, it waits."""
        strategy, nodes = self._config.cluster.placement.upper(), cluster_nodes()
        beside = sizes_held(self._config, fewer, nodes, evaluates=bool(due_steps(self._config)))
        around.claim.make()
        for ranks in beside or sizes_held(self._config, fewer, nodes, evaluates=False):
            if has_room([training_share(self._config.cluster, ranks)], strategy, _TRY_SECONDS):
                break
        else:
            ranks = fewer[0]
            try:
                self._wait(ranks, seconds, around)
            except WorkerFailed as error:
                remedy = "free some, lower cluster.min_workers, or raise cluster.wait_seconds"
                raise WorkerFailed(error.where, error.what, remedy) from None
        _log.warning("going on with %d ranks instead of %d", ranks, self.ranks)
        self.ranks, self._shrunk = ranks, self._shrunk + 1


class Growth:
    """Looks, in a thread of its own, for room for more ranks beside those that train, and asks these to end
    at their next checkpoint once it has been there for `seconds`; no longer where it is gone before that."""

    def __init__(
        self, config: RunConfig, ranks: int, larger: tuple[int, ...], seconds: float, stop_file: StopFile
    ) -> None:
        self._config = config
        self._ranks = ranks
        self._larger = larger
        self.seconds = seconds
        self._stop_file = stop_file
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="growth", daemon=True)
        self.wanted: int | None = None
        """The number of ranks that there has been room for long enough, and still is."""
        self.asked = False
        """Whether the ranks were ever asked to end; they may have seen a wish that was taken back."""

    def __enter__(self) -> Self:
        self._stop_file.ask_for_pause(wanted=False)
        if self._larger:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._larger:
            self._thread.join()

    def _watch(self) -> None:
        since: float | None = None
        while not self._end.wait(min(self.seconds / 4, _LOOK_SECONDS)):
            size = self._room_for()
            since = None if size is None else since or time.monotonic()
            lasting = since is not None and time.monotonic() - since >= self.seconds
            if lasting and self.wanted is None:
                _log.info(
                    "there is room for %s ranks: these %d end at their next checkpoint", size, self._ranks
                )
            if lasting or self.wanted is not None:
                self.wanted, self.asked = size, True
                self._stop_file.ask_for_pause(wanted=size is not None)

    def _room_for(self) -> int | None:
        """The largest number of ranks that the cluster has room for; None where it has for no more.

        Not counted is what the evaluation is to have, also while it does not hold it.
        """
        from ray.exceptions import RayError

        cluster, evaluates = self._config.cluster, bool(due_steps(self._config))
        try:
            for size in sizes_held(self._config, self._larger, cluster_nodes(), evaluates=evaluates):
                more = training_share(cluster, size - self._ranks)
                if has_room([more], cluster.placement.upper(), 1.0):
                    return size
        except RayError as error:  # the training notices it by itself if the cluster is gone
            _log.debug("looking for room: %s", error)
        return None


def surroundings(claim: Claim, stop: threading.Event) -> Surroundings:
    """At the start of a training on the connected cluster."""
    return Surroundings(living_nodes(), claim, stop)
