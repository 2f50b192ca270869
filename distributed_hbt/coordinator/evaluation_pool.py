"""The evaluation pool: jobs of evaluations done by Ray actors, or by this process where one is enough."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from distributed_hbt.config.run import ClusterConfig, RunConfig
from distributed_hbt.coordinator.capacity import Share, evaluation_share
from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.jobs.job import Executor, Job, ProgressSink
from distributed_hbt.evaluation.jobs.progress import Meter, shown_progress

if TYPE_CHECKING:
    from distributed_hbt.coordinator.evaluation_pool_backlog import Patience
    from distributed_hbt.coordinator.evaluation_pool_seat import Seat


class RayExecutor:
    """An `Executor` over `cluster.evaluation_actors` actors of the connected cluster.

    Actors are started when the first jobs come, as many as there is work for, and kept, with the encoder
    they have loaded, until `close`. One that is lost is replaced when there is room for another; meanwhile
    the others go on.
    """

    def __init__(
        self,
        cluster: ClusterConfig,
        *,
        max_attempts: int,
        sink: ProgressSink | None = None,
        patience: "Patience | None" = None,
        gives_way: Callable[[], bool] = lambda: False,
    ) -> None:
        """`patience` stands instead of what `cluster` and `max_attempts` say of times and attempts. While it
        `gives_way` the pool has no actors: what they had in hand is begun again afterwards."""
        from distributed_hbt.coordinator.evaluation_pool_backlog import Patience
        from distributed_hbt.coordinator.evaluation_pool_seat import Seat

        self._patience = patience or Patience(
            attempts=max_attempts, start=cluster.wait_seconds, stall=cluster.evaluation_stall_seconds
        )
        self._seats: list[Seat] = [
            Seat(evaluation_share(cluster)) for _ in range(max(1, cluster.evaluation_actors))
        ]
        self._sink = sink
        self._gives_way = gives_way
        self._stop = threading.Event()
        self._running = threading.Lock()

    def run(self, jobs: Sequence[Job], label: str) -> None:
        """See `Executor`. From any thread, one call after the other.

        Raises WorkerFailed also where no actor could be had for `cluster.wait_seconds`, and when another
        thread closes the pool.
        """
        from distributed_hbt.coordinator.evaluation_pool_backlog import Backlog
        from distributed_hbt.coordinator.evaluation_pool_dispatch import Dispatch

        todo = [job for job in jobs if not job.output.exists()]
        total = sum(job.size for job in jobs)
        already = total - sum(job.size for job in todo)
        meter = Meter(label, total, already)
        self._tell(meter, already)
        if todo:
            with self._running:
                backlog = Backlog(todo, self._patience, already)
                seats, tell = self._seats_for(len(todo)), partial(self._tell, meter)
                Dispatch(backlog, seats, self._patience, tell, self._gives_way, self._stop).run()
            self._tell(meter, total)

    def rest(self) -> None:
        """End the actors that no list of jobs has in use. From any thread."""
        if self._running.acquire(blocking=False):
            try:
                for seat in self._seats:
                    seat.lose()
            finally:
                self._running.release()

    def close(self) -> None:
        """End all actors; what they have in hand is lost, what is done is not. From any thread: a `run` of
        another one ends first, in a second or so."""
        self._stop.set()
        with self._running:
            for seat in self._seats:
                seat.lose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seats_for(self, jobs: int) -> "list[Seat]":
        """Those whose actor is there and free come first, those that still do what was let go last."""
        seats = sorted(self._seats, key=lambda seat: (seat.task is not None, not seat.has_actor))
        return seats[:jobs]

    def _tell(self, meter: Meter, done: int) -> None:
        if self._sink is not None:
            self._sink(meter.at(done))


@contextmanager
def open_executor(config: RunConfig, address: str | None = None) -> Iterator[Executor]:
    """What does the jobs of a command, showing progress: this process, where one actor is asked for and no
    `address` of a Ray cluster is given, else actors on that cluster or on one of this machine.

    Raises ConfigError for a cluster that can not be used, or has no node that holds an actor.
    """
    cluster = config.cluster
    share = evaluation_share(cluster)
    attempts = config.evaluation.max_attempts
    with shown_progress() as sink:
        if cluster.evaluation_actors <= 1 and address is None:
            from distributed_hbt.evaluation.jobs.local import LocalExecutor

            yield LocalExecutor(
                None if share.gpus else "cpu", max_attempts=attempts, sink=sink, threads=int(share.cpus)
            )
            return
        from distributed_hbt.coordinator.cluster import connected

        with connected(address):
            _check_some_node_holds(share)
            with RayExecutor(cluster, max_attempts=attempts, sink=sink) as executor:
                yield executor


def _check_some_node_holds(share: Share) -> None:
    from distributed_hbt.coordinator.room import cluster_nodes

    nodes = cluster_nodes()
    if not any(node.cpus >= share.cpus and node.gpus >= share.gpus for node in nodes):
        takes = " and ".join(f"{amount:g} {name}" for name, amount in share.bundle.items())
        has = ", ".join(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in nodes)
        what = f"no node holds an evaluation actor ({takes}); the cluster's nodes have {has}"
        remedy = "lower cluster.evaluation_gpus_per_actor or evaluation_cpus_per_actor, or use other nodes"
        raise ConfigError("cluster", what, remedy)
