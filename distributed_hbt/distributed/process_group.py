"""What a process learns of its place among the ranks, from its environment alone."""

import os
import socket
from dataclasses import dataclass

from distributed_hbt.errors import ConfigError


@dataclass(frozen=True)
class Ranks:
    """This process's place. `local_rank` counts within the node."""

    rank: int
    world_size: int
    local_rank: int

    @property
    def is_first(self) -> bool:
        return self.rank == 0


def ranks_from_environment() -> Ranks:
    """Read RANK, WORLD_SIZE and LOCAL_RANK as torchrun, accelerate and Ray Train set them.

    A process started alone becomes rank 0 of 1; the variables that torch needs are then set.
    """
    if "WORLD_SIZE" not in os.environ:
        os.environ.update(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(_free_port()))
    try:
        return Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except (KeyError, ValueError) as error:
        raise ConfigError(
            "environment",
            f"RANK, WORLD_SIZE and LOCAL_RANK are not all set to numbers ({error})",
            "start with accelerate launch, torchrun, or hbt train without any of them",
        ) from error


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
