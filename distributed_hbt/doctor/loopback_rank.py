"""One rank of the loopback check: python -m distributed_hbt.doctor.loopback_rank BACKEND."""

import json
import os
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist

NUMBERS = 4 * 2**20
_LIMIT = timedelta(seconds=60)


def main() -> None:
    """Write {"seconds", "bytes"} of one all-reduce. Raises RuntimeError where its sum is wrong."""
    backend, rank, world_size = sys.argv[1], int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = torch.device("cpu")
    if backend == "nccl":
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
    dist.init_process_group(backend, timeout=_LIMIT, rank=rank, world_size=world_size)
    _summed(device, rank)  # connects
    began = time.perf_counter()
    total = _summed(device, rank)
    seconds = time.perf_counter() - began
    expected = sum(range(1, world_size + 1))
    if not bool((total == expected).all()):
        raise RuntimeError(f"the sum over the ranks is {total[0].item()} where {expected} is right")
    print(json.dumps({"seconds": seconds, "bytes": total.nbytes}))
    dist.destroy_process_group()


def _summed(device: torch.device, rank: int) -> torch.Tensor:
    numbers = torch.full((NUMBERS,), rank + 1.0, device=device)
    dist.all_reduce(numbers)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return numbers


if __name__ == "__main__":
    main()
