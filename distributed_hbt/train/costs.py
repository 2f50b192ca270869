"""What a run took, for those that compare runs: parameters and memory."""

import json
import resource
from pathlib import Path

import torch
from torch import nn

from distributed_hbt.run_directory import write_aside

_MIB = 2**20


def write_costs(path: Path, module: nn.Module) -> None:
    """Write `parameters`, `trained_parameters` and `peak_memory_mib` of this rank: on a GPU what torch has
    allocated at most, else the largest resident size of the process."""
    content = {
        "parameters": sum(_size(parameter) for parameter in module.parameters()),
        "trained_parameters": sum(_size(p) for p in module.parameters() if p.requires_grad),
        "peak_memory_mib": round(_peak_bytes() / _MIB, 1),
    }
    write_aside(path, json.dumps(content) + "\n")


def _size(parameter: nn.Parameter) -> int:
    """Also where ZeRO-3 has left no part of it here."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
