"""An all-reduce between two real processes of this machine, by the libraries that the ranks use."""

import json
import socket
import time

from distributed_hbt.doctor.child import NoAnswer, answer, end, start
from distributed_hbt.doctor.finding import Finding, Subject

_CHECK = "loopback"
SECONDS = 120.0
"""For importing torch twice on a busy machine, meeting, and some megabytes."""
_REMEDIES = {
    "gloo": "set GLOO_SOCKET_IFNAME to an interface that is up (ip addr), and let a firewall pass loopback",
    "nccl": "run again with NCCL_DEBUG=INFO; check NCCL_SOCKET_IFNAME, /dev/shm and the driver",
}


def check(subject: Subject) -> list[Finding]:
    """gloo always; NCCL where there are GPUs, with one rank where there is one."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [_all_reduce("gloo", 2)]
    if gpus:
        found.append(_all_reduce("nccl", min(gpus, 2)))
    return found


def _all_reduce(backend: str, world_size: int) -> Finding:
    place = {"WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    ranks = [
        start("distributed_hbt.doctor.loopback_rank", [backend], {**place, "RANK": str(rank)})
        for rank in range(world_size)
    ]
    until = time.monotonic() + SECONDS
    try:
        answers = [json.loads(answer(rank, max(until - time.monotonic(), 0.1))) for rank in ranks]
    except NoAnswer as error:
        what = f"{backend} between {world_size} processes of this machine: {error}"
        return Finding(_CHECK, "failure", what, _REMEDIES[backend])
    finally:
        for rank in ranks:
            end(rank)
    seconds, size = max(a["seconds"] for a in answers), answers[0]["bytes"]
    what = f"{backend}: {world_size} process{'es' if world_size > 1 else ''} all-reduced {size / 1e6:.0f} MB"
    return Finding(_CHECK, "ok", f"{what} in {1000 * seconds:.0f} ms")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
