"""How many ranks a submitted run may have, and how many the cluster's nodes can hold."""

from collections.abc import Sequence

from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.capacity import Node, can_hold, shares_at_once
from distributed_hbt.errors import ConfigError


def usable_sizes(config: RunConfig) -> tuple[int, ...]:
    """Numbers of ranks, ascending, that share the global batch evenly, from `cluster.min_workers` to
    `cluster.max_workers`. Raises ConfigError where there is none."""
    cluster, batch = config.cluster, config.train.global_batch_size
    least, most = cluster.fewest_workers, cluster.most_workers
    sizes = tuple(size for size in range(least, most + 1) if batch % size == 0)
    if sizes:
        return sizes
    if least == most:
        what = f"{batch} rows can not be shared evenly by {least} ranks"
    else:
        what = f"{batch} rows can not be shared evenly by any number of ranks from {least} to {most}"
    remedy = "make it a multiple of the number of processes"
    raise ConfigError("train.global_batch_size", what, remedy)


def first_size(config: RunConfig) -> int:
    """The number of ranks that a run starts with: `cluster.num_workers`, or the nearest below it, else above
    it, that shares the batch evenly. Raises ConfigError where there is none."""
    sizes = usable_sizes(config)
    return max((size for size in sizes if size <= config.cluster.num_workers), default=sizes[0])


def sizes_held(
    config: RunConfig, sizes: Sequence[int], nodes: Sequence[Node], *, evaluates: bool
) -> list[int]:
    """Those of the sizes that the nodes can hold, the largest first; beside the evaluation, if the run
    `evaluates`."""
    return [
        size
        for size in sorted(sizes, reverse=True)
        if can_hold(shares_at_once(config.cluster, evaluates=evaluates, ranks=size), nodes)
    ]
