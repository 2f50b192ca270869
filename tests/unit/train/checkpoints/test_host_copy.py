"""A copy is what the state was, whatever becomes of the state."""

import io
from collections import OrderedDict, namedtuple
from typing import Any

import torch
from torch import nn

from distributed_hbt.train.checkpoints.host_copy import HostCopy

Pair = namedtuple("Pair", ["left", "right"])


def saved(state: Any) -> Any:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False), buffer.getbuffer().nbytes


def test_later_steps_do_not_touch_a_copy() -> None:
    """A checkpoint with the weights of one step and the moments, or the learning rate, of the next."""
    weight = nn.Parameter(torch.arange(6.0).view(2, 3))
    state = OrderedDict(
        weight=weight,
        groups=[{"lr": 0.5, "step": torch.tensor(3)}],
        pair=Pair(torch.ones(2), (torch.zeros(1), "name")),
    )
    copies = HostCopy()
    copy = copies.of(state)
    copies.wait()
    with torch.no_grad():
        weight.add_(1)
        state["pair"].left.add_(1)
        state["pair"].right[0].add_(1)
    state["groups"][0]["lr"] = 0.1
    state["groups"][0]["step"] += 1
    assert torch.equal(copy["weight"], torch.arange(6.0).view(2, 3))
    assert isinstance(copy["weight"], nn.Parameter)
    assert (copy["groups"][0]["lr"], int(copy["groups"][0]["step"])) == (0.5, 3)
    assert (copy["pair"].left.tolist(), copy["pair"].right[0].tolist()) == ([1.0, 1.0], [0.0])
    assert list(copy) == list(state)
    assert isinstance(copy, OrderedDict)


def test_what_is_shared_stays_shared() -> None:
    """Views of ZeRO's flat buffer that are each written with the whole of it."""
    flat = torch.arange(100_000.0)
    state = {"flat": flat, "parts": [flat[:50_000].view(2, -1), flat[50_000:]]}
    copy = HostCopy().of(state)
    _, size = saved(copy)
    loaded, whole = saved(state)
    assert size == whole < 2 * 4 * 100_000
    assert torch.equal(loaded["parts"][0], copy["parts"][0])
    assert copy["parts"][1].untyped_storage().data_ptr() == copy["flat"].untyped_storage().data_ptr()


def test_sources_that_are_gone_are_not_mixed_up() -> None:
    """A tensor that takes the address of a temporary one before it, and gets that one's copy."""
    copies = HostCopy()
    values = [copies.of(torch.full((4096,), float(number))) for number in range(50)]
    assert [float(value[7]) for value in values] == list(map(float, range(50)))
