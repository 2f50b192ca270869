"""Whether a cluster can hold a run."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from distributed_hbt.config.run import ClusterConfig
from distributed_hbt.errors import ConfigError


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
        return f"{self.count} x {self.what} ({amounts(self.cpus, self.gpus)} each)"


def training_share(cluster: ClusterConfig, ranks: int | None = None) -> Share:
    """The ranks: so many, or `cluster.num_workers`."""
    count = cluster.num_workers if ranks is None else ranks
    return Share("training worker", count, cluster.cpus_per_worker, cluster.gpus_per_worker)


def evaluation_share(cluster: ClusterConfig) -> Share:
    """The evaluation actors."""
    gpus = cluster.evaluation_gpus_per_actor
    gpus = cluster.gpus_per_worker if gpus is None else gpus
    return Share("evaluation actor", cluster.evaluation_actors, cluster.evaluation_cpus_per_actor, gpus)


def shares_at_once(cluster: ClusterConfig, *, evaluates: bool, ranks: int | None = None) -> tuple[Share, ...]:
    """What the run holds while it trains with so many `ranks`, or `cluster.num_workers`. `evaluates`: whether
    it has anything to evaluate."""
    training, evaluation = training_share(cluster, ranks), evaluation_share(cluster)
    if evaluates and evaluation.count and cluster.evaluation_placement == "beside":
        return (training, evaluation)
    return (training,)


def can_hold(shares: Sequence[Share], nodes: Sequence[Node]) -> bool:
    """Whether the nodes have room for all shares at once, if nothing else runs on them."""
    return _missing(shares, nodes) is None


def check_capacity(
    cluster: ClusterConfig, nodes: Sequence[Node], *, evaluates: bool, ranks: int | None = None
) -> None:
    """Raises ConfigError, saying what is needed, there and missing, where these nodes could not hold the run
    with so many `ranks`, or `cluster.num_workers`, even if nothing else ran on them."""
    phases = [shares_at_once(cluster, evaluates=evaluates, ranks=ranks)]
    if evaluates and cluster.evaluation_actors and cluster.evaluation_placement == "after":
        phases.append((evaluation_share(cluster),))
    for shares in phases:
        missing = _missing(shares, nodes)
        if missing is not None:
            what = f"the run needs {sentence(shares)}; the cluster has {listing(nodes)}; {missing}"
            raise ConfigError("cluster", what, _remedy(shares, nodes))


def holds_at_once(clusters: Sequence[ClusterConfig], nodes: Sequence[Node]) -> int:
    """How many such runs the nodes can hold at the same time: at least one."""
    largest = max(clusters, key=lambda cluster: _size(shares_at_once(cluster, evaluates=True)))
    shares = shares_at_once(largest, evaluates=True)
    count = 1
    while _missing(shares * (count + 1), nodes) is None:
        count += 1
    return count


def _size(shares: Sequence[Share]) -> tuple[float, float]:
    return (
        sum(share.count * share.gpus for share in shares),
        sum(share.count * share.cpus for share in shares),
    )


def _missing(shares: Sequence[Share], nodes: Sequence[Node]) -> str | None:
    """What the nodes lack for all shares at once; None where they fit."""
    cpus = sum(share.count * share.cpus for share in shares) - sum(node.cpus for node in nodes)
    gpus = sum(share.count * share.gpus for share in shares) - sum(node.gpus for node in nodes)
    if cpus > 0 or gpus > 0:
        return f"missing: {amounts(max(cpus, 0), max(gpus, 0))}"
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


def sentence(shares: Sequence[Share]) -> str:
    """Shares, for people."""
    return " and ".join(map(str, shares))


def listing(nodes: Sequence[Node]) -> str:
    """How many nodes of which size, for people."""
    alike = Counter(amounts(node.cpus, node.gpus) for node in nodes)
    texts = [f"{n} node{'' if n == 1 else 's'} with {amounts}" for amounts, n in alike.most_common()]
    return " and ".join(texts) if texts else "no nodes"


def amounts(cpus: float, gpus: float) -> str:
    """So many CPUs and GPUs, for people."""
    texts = [
        f"{amount:g} {name}{'' if amount == 1 else 's'}"
        for amount, name in ((cpus, "CPU"), (gpus, "GPU"))
        if amount
    ]
    return " and ".join(texts) if texts else "no CPUs"
