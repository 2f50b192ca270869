"""Weights that every rank holds have to be equal to the bit; here they are compared, by a hash."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from distributed_hbt.errors import WorkerFailed
from distributed_hbt.train.engine import Session

_PIECE = 1 << 22  # words that are weighted at once: 64 MiB of temporaries
_ODD = 0x9E3779B97F4A7C15 - (1 << 64)  # 2^64 over the golden ratio, as a signed number
_log = logging.getLogger(__name__)


class RankComparison:
    """Compares, across ranks, the weights that all of them hold whole.

    Under ZeRO-0 to 2 those are all of the model: trained, frozen and adapters. Under ZeRO-3 only the small
    ones that DeepSpeed keeps whole (stage3_param_persistence_threshold); of all others there is one copy,
    which can not differ from any. Nor does it see the optimizer's state, which ZeRO-1 to 3 have once.
    """

    def __init__(self, session: Session, engine: Any, every: int | None) -> None:
        self._ranks = session.ranks
        self._every = every if session.ranks.world_size > 1 else None
        self._engine = engine
        self._stage = session.stage

    def is_due(self, done: int) -> bool:
        """After so many steps; a checkpoint asks by itself."""
        return self._every is not None and done % self._every == 0

    def check(self, done: int) -> None:
        """Every rank must call it. Raises WorkerFailed on all of them where their weights differ."""
        if self._every is None:
            return
        named = self._replicated()
        if not named:
            return
        hash_P = torch.stack([tensor_hash(tensor) for _, tensor in named])
        whole = _gathered(_weighted(hash_P)[None], self._ranks.world_size)
        if len({words[0] for words in whole}) == 1:
            return
        by_parameter = _gathered(hash_P, self._ranks.world_size)
        raise _differ(done, [name for name, _ in named], by_parameter)

    def _replicated(self) -> list[tuple[str, Tensor]]:
        named = self._engine.module.named_parameters()
        if self._stage < 3:
            return [(name, parameter.data) for name, parameter in named]
        return [(name, parameter.data) for name, parameter in named if _is_kept_whole(parameter)]


def tensor_hash(tensor: Tensor) -> Tensor:
    """int64[] on the tensor's device: the sum of its 8-byte words, each times an odd number of its own.
    So any one bit that is turned changes it, and so do values that change places."""
    byte_B = tensor.detach().contiguous().view(-1).view(torch.uint8)
    cut = len(byte_B) - len(byte_B) % 8
    if byte_B.storage_offset() % 8:
        byte_B = byte_B.clone()  # words begin at multiples of their size
    word_W, rest_R = byte_B[:cut].view(torch.int64), byte_B[cut:].long()
    total = _weighted(rest_R, len(word_W))
    for first in range(0, len(word_W), _PIECE):
        total = total + _weighted(word_W[first : first + _PIECE], first)
    return total


def _weighted(word_W: Tensor, first: int = 0) -> Tensor:
    place_W = torch.arange(first, first + len(word_W), device=word_W.device)
    return (word_W * (2 * place_W * _ODD + 1)).sum()


def _gathered(word_W: Tensor, world_size: int) -> list[list[int]]:
    """Of every rank, on every rank."""
    parts = [torch.empty_like(word_W) for _ in range(world_size)]
    dist.all_gather(parts, word_W)
    return torch.stack(parts).tolist()


def _is_kept_whole(parameter: Any) -> bool:
    from deepspeed.runtime.zero.partition_parameters import ZeroParamStatus

    return bool(parameter.ds_persist) and parameter.ds_status == ZeroParamStatus.AVAILABLE


def _differ(done: int, names: Sequence[str], hashes: Sequence[Sequence[int]]) -> WorkerFailed:
    """hashes: of every rank, of every parameter."""
    (most, votes), *others = Counter(map(tuple, hashes)).most_common()
    no_majority = others[0][1] == votes
    ranks = [rank for rank, found in enumerate(hashes) if no_majority or tuple(found) != most]
    to_whom = "each other, and none has a majority" if no_majority else "those of the other ranks"
    first = next(name for i, name in enumerate(names) if len({found[i] for found in hashes}) > 1)
    number = sum(len(set(found)) > 1 for found in zip(*hashes, strict=True))
    where = f"rank{'s' if len(ranks) > 1 else ''} {', '.join(map(str, ranks))}"
    parameters = f"in {number} of {len(names)} parameters, the first is {first}"
    remedy = "look for faulty memory or links; start again to resume from the last checkpoint, which is sound"
    return WorkerFailed(where, f"after step {done} the weights differ from {to_whom} ({parameters})", remedy)
