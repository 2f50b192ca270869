"""What a Ray cluster has, asked once: python -m distributed_hbt.coordinator.probe [ADDRESS].

A process of its own is asked, since Ray may end the process that can not connect, or let it wait.
"""

import json
import sys

from distributed_hbt.coordinator.cluster import connected
from distributed_hbt.coordinator.room import cluster_nodes
from distributed_hbt.errors import HbtError


def main(arguments: list[str]) -> None:
    """Write {"ray", "nodes": [{"cpus", "gpus"}], "free": {"cpus", "gpus"}}, or {"where", "what", "remedy"}
    where the cluster can not be used."""
    try:
        content = _asked(arguments[0] if arguments else None)
    except HbtError as error:
        content = {"where": error.where, "what": error.what, "remedy": error.remedy}
    print(json.dumps(content))


def _asked(address: str | None) -> dict[str, object]:
    with connected(address):
        import ray

        free = ray.available_resources()
        return {
            "ray": ray.__version__,
            "nodes": [{"cpus": node.cpus, "gpus": node.gpus} for node in cluster_nodes()],
            "free": {"cpus": free.get("CPU", 0.0), "gpus": free.get("GPU", 0.0)},
        }


if __name__ == "__main__":
    main(sys.argv[1:])
