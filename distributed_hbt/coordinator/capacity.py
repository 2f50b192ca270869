"""Whether a cluster can hold a run, and waiting until it has room."""

import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distributed_hbt.config.run import ClusterConfig
from distributed_hbt.errors import ConfigError, WorkerFailed

_POLL_SECONDS = 0.5
_SILENT_POLLS = 10
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Node:
    """What a machine of the cluster has in all."""

    cpus: float
    gpus: float


@dataclass(frozen=True, slots=True)
class Share:
    """So many processes of one kind, with what each of them takes. A process stays within one node."""

    what: str
    count: int
    cpus: float
    gpus: float

    @property
    def bundle(self) -> dict[str, float]:
        """As Ray names it; what is 0 is left out."""
        return {name: amount for name, amount in (("CPU", self.cpus), ("GPU", self.gpus)) if amount}

    def __str__(self) -> str:
        return f"{self.count} x {self.what} ({_amounts(self.cpus, self.gpus)} each)"


def training_share(cluster: ClusterConfig) -> Share:
    """The ranks."""
    return Share("training worker", cluster.num_workers, cluster.cpus_per_worker, cluster.gpus_per_worker)


def evaluation_share(cluster: ClusterConfig) -> Share:
    """The evaluation actors."""
    gpus = cluster.evaluation_gpus_per_actor
    gpus = cluster.gpus_per_worker if gpus is None else gpus
    return Share("evaluation actor", cluster.evaluation_actors, cluster.evaluation_cpus_per_actor, gpus)


def shares_at_once(cluster: ClusterConfig, *, evaluates: bool) -> tuple[Share, ...]:
    """What the run holds while it trains. `evaluates`: whether it has anything to evaluate."""
    training, evaluation = training_share(cluster), evaluation_share(cluster)
    if evaluates and evaluation.count and cluster.evaluation_placement == "beside":
        return (training, evaluation)
    return (training,)


def check_capacity(cluster: ClusterConfig, nodes: Sequence[Node], *, evaluates: bool) -> None:
    """Raises ConfigError, saying what is needed, there and missing, where these nodes could not hold the run
    even if nothing else ran on them."""
    phases = [shares_at_once(cluster, evaluates=evaluates)]
    if evaluates and cluster.evaluation_actors and cluster.evaluation_placement == "after":
        phases.append((evaluation_share(cluster),))
    for shares in phases:
        missing = _missing(shares, nodes)
        if missing is not None:
            what = f"the run needs {_sentence(shares)}; the cluster has {_list(nodes)}; {missing}"
            raise ConfigError("cluster", what, _remedy(shares, nodes))


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


def wait_for_room(
    shares: Sequence[Share],
    strategy: str,
    seconds: float,
    stop: threading.Event,
    at_first: Mapping[str, str],
) -> None:
    """Return once the connected cluster has these resources free, or `stop` is set.

    Raises WorkerFailed after `seconds`, saying what is needed and there, and which of the nodes that were
    alive `at_first` are lost.
    """
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group

    bundles = [bundle for share in shares for bundle in [share.bundle] * share.count]
    # Only Ray's scheduler can say what fits where: reserve it all, and give it back.
    group = placement_group(bundles, strategy=strategy)
    try:
        deadline = time.monotonic() + seconds
        for attempt in itertools.count(1):
            if group.wait(_POLL_SECONDS) or stop.is_set():
                return
            if attempt == _SILENT_POLLS:
                _log.info("waiting up to %d s for %s to be free", seconds, _sentence(shares))
            if time.monotonic() >= deadline:
                free = ray.available_resources()
                there = _amounts(free.get("CPU", 0.0), free.get("GPU", 0.0))
                what = (
                    f"the run needs {_sentence(shares)}; the cluster has {_list(cluster_nodes())}, of which "
                    f"{there} were free after {seconds:g} s{_lost(at_first)}"
                )
                raise WorkerFailed("cluster", what, "free some, ask for less, or raise cluster.wait_seconds")
    finally:
        remove_placement_group(group)


def _lost(at_first: Mapping[str, str]) -> str:
    alive = living_nodes()
    lost = sorted(name for node, name in at_first.items() if node not in alive)
    return f"; lost since the start: {', '.join(lost)}" if lost else ""


def _missing(shares: Sequence[Share], nodes: Sequence[Node]) -> str | None:
    """What the nodes lack for all shares at once; None where they fit."""
    cpus = sum(share.count * share.cpus for share in shares) - sum(node.cpus for node in nodes)
    gpus = sum(share.count * share.gpus for share in shares) - sum(node.gpus for node in nodes)
    if cpus > 0 or gpus > 0:
        return f"missing: {_amounts(max(cpus, 0), max(gpus, 0))}"
    free = [[node.cpus, node.gpus] for node in nodes]
    # The largest first, each into the first node that holds it: what a person would try.
    for share in sorted(shares, key=lambda share: (share.gpus, share.cpus), reverse=True):
        for number in range(share.count):
            room = next((f for f in free if f[0] >= share.cpus and f[1] >= share.gpus), None)
            if room is None:
                has_room = f"only {number} of {share.count}" if number else "none"
                return f"a {share.what} does not fit beside the others on any node: {has_room} have room"
            room[0] -= share.cpus
            room[1] -= share.gpus
    return None


def _remedy(shares: Sequence[Share], nodes: Sequence[Node]) -> str:
    remedies = ["lower cluster.num_workers or cpus_per_worker"]
    if any(share.gpus for share in shares) and not any(node.gpus for node in nodes):
        remedies = ["set cluster.gpus_per_worker=0 to train on CPUs"]
    elif len(shares) > 1:
        remedies.append("set cluster.evaluation_placement=after")
    return ", or ".join([*remedies, "use a larger cluster (--address)"])


def _sentence(shares: Sequence[Share]) -> str:
    return " and ".join(map(str, shares))


def _list(nodes: Sequence[Node]) -> str:
    alike = Counter(_amounts(node.cpus, node.gpus) for node in nodes)
    texts = [f"{n} node{'' if n == 1 else 's'} with {amounts}" for amounts, n in alike.most_common()]
    return " and ".join(texts) if texts else "no nodes"


def _amounts(cpus: float, gpus: float) -> str:
    texts = [
        f"{amount:g} {name}{'' if amount == 1 else 's'}"
        for amount, name in ((cpus, "CPU"), (gpus, "GPU"))
        if amount
    ]
    return " and ".join(texts) if texts else "no CPUs"
