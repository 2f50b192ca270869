"""How the ranks of several nodes find each other's network interface."""

import os
import socket
from dataclasses import dataclass
from typing import Any

from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend


@dataclass
class NodeAddressTorchConfig(TorchConfig):  # type: ignore[misc]
    """Ray Train's process group, over the interfaces by which Ray knows the nodes.

    Left alone, gloo takes the address that the host's own name resolves to. With Debian's /etc/hosts that is
    127.0.1.1, where no other node finds it.
    """

    @property
    def backend_cls(self) -> type[Any]:
        return _NodeAddressBackend


class _NodeAddressBackend(_TorchBackend):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        worker_group.execute(name_interface)
        super().on_start(worker_group, backend_config)


def name_interface() -> None:
    """Set GLOO_SOCKET_IFNAME to the interface with this node's address, unless the environment names one."""
    import psutil
    import ray

    address = ray.util.get_node_ip_address()
    for name, found in psutil.net_if_addrs().items():
        if any(one.family in (socket.AF_INET, socket.AF_INET6) and one.address == address for one in found):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
