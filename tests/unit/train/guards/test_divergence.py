"""The hash that ranks compare."""

import random

import pytest
import torch

from distributed_hbt.train.guards.divergence import tensor_hash

HASHED = [(torch.float32, 5001), (torch.bfloat16, 5001), (torch.float32, 2), (torch.bfloat16, 3)]


@pytest.mark.parametrize(("dtype", "size"), HASHED)
def test_any_turned_bit_changes_the_hash(dtype: torch.dtype, size: int) -> None:
    """A sum of values, to which a small change of a large tensor is lost."""
    chance = random.Random(7)
    tensor = torch.randn(size, generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = int(tensor_hash(tensor))
    assert int(tensor_hash(tensor.clone())) == expected
    for _ in range(200):
        other = tensor.clone()
        other.view(torch.uint8)[chance.randrange(size * tensor.element_size())] ^= 1 << chance.randrange(8)
        assert int(tensor_hash(other)) != expected


def test_values_that_change_places_change_the_hash() -> None:
    """Rows that a wrong gather has put elsewhere."""
    tensor = torch.arange(64.0)
    assert int(tensor_hash(tensor)) != int(tensor_hash(tensor.flip(0)))


def test_a_part_of_a_flat_buffer_has_the_hash_of_its_copy() -> None:
    """DeepSpeed's parameters begin anywhere in a buffer, also between two words."""
    buffer = torch.randn(1000).to(torch.bfloat16)
    for start in range(9):
        part = buffer[start : start + 500]
        assert int(tensor_hash(part)) == int(tensor_hash(part.clone()))


def test_large_tensors_are_hashed_in_pieces_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that begins anew with every piece."""
    tensor = torch.randn(1003)
    whole = int(tensor_hash(tensor))
    monkeypatch.setattr("distributed_hbt.train.guards.divergence._PIECE", 100)
    assert int(tensor_hash(tensor)) == whole
