"""Encoding by a budget of padded tokens."""

import numpy as np
import pytest
import torch

from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.encode import encode


class CountingPad:
    """Pads on the right with 0 and notes the shape of every batch."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []

    def pad(self, token_lists: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        length = max(map(len, token_lists))
        self.shapes.append((len(token_lists), length))
        rows = [tokens + [0] * (length - len(tokens)) for tokens in token_lists]
        ids_BL = torch.tensor(rows)
        return ids_BL, (ids_BL > 0).long()


class SumAndCount(torch.nn.Module):
    """embedding_BD = (sum of the tokens, number of tokens, 3 in training and 4 otherwise)."""

    def forward(self, input_ids_BL: torch.Tensor, attention_mask_BL: torch.Tensor) -> torch.Tensor:
        mode = torch.full((len(input_ids_BL),), 3.0 if self.training else 4.0)
        return torch.stack([input_ids_BL.sum(1).float(), attention_mask_BL.sum(1).float(), mode], dim=1)


TEXTS = [[1, 2], [7], [1, 2, 3, 4], [9], [5, 5, 5], [7]]


def test_embeddings_come_back_in_the_order_of_the_texts() -> None:
    """Catches rows left in the order of their length, and a model that drops out while it is measured."""
    found = encode(SumAndCount(), CountingPad(), TEXTS, max_tokens_per_batch=4)
    assert found.dtype == np.float32
    expected = [[3, 2, 4], [7, 1, 4], [10, 4, 4], [9, 1, 4], [15, 3, 4], [7, 1, 4]]
    assert found.tolist() == expected


@pytest.mark.parametrize("budget", [1, 2, 4, 5, 1000])
def test_any_budget_gives_the_same_embeddings_within_it(budget: int) -> None:
    """Catches a budget of one token that encodes nothing, and one that counts real tokens instead."""
    texts = CountingPad()
    found = encode(SumAndCount(), texts, TEXTS, max_tokens_per_batch=budget)
    assert found[:, 0].tolist() == [3, 7, 10, 9, 15, 7]
    assert all(rows == 1 or rows * length <= budget for rows, length in texts.shapes)


def test_equal_texts_are_encoded_once() -> None:
    """Catches equal sentences whose scores differ by rounding, depending on their batch."""
    texts = CountingPad()
    encode(SumAndCount(), texts, [[1, 2]] * 50, max_tokens_per_batch=8)
    assert texts.shapes == [(1, 2)]


def test_a_prefix_has_unit_length_unless_the_model_has_none() -> None:
    """Catches a cut embedding that is not a cosine any more."""
    found = encode(SumAndCount(), CountingPad(), [[3, 1], [2, 1]], max_tokens_per_batch=8, dimension=2)
    np.testing.assert_allclose(found, [[4 / 20**0.5, 2 / 20**0.5], [3 / 13**0.5, 2 / 13**0.5]], rtol=1e-6)
    plain = encode(
        SumAndCount(), CountingPad(), [[3, 1]], max_tokens_per_batch=8, dimension=2, normalize=False
    )
    assert plain.tolist() == [[4, 2]]


def test_a_prefix_longer_than_the_embedding_is_refused() -> None:
    """Catches a slice that silently gives the whole embedding."""
    with pytest.raises(ConfigError, match=r"evaluation\.dimension: 4 is more than the embedding's 3"):
        encode(SumAndCount(), CountingPad(), [[1]], max_tokens_per_batch=8, dimension=4)


def test_the_model_is_left_in_its_mode() -> None:
    """Catches an evaluation inside training that switches dropout off for good."""
    model = SumAndCount().train()
    encode(model, CountingPad(), [[1]], max_tokens_per_batch=8)
    assert model.training
