"""Texts packed into one row, one after the other and without padding."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Packing:
    """Where the B texts of a row of T tokens lie.

    position_1T counts the tokens of each text from 0. edge_E, E = B + 1, int32, is where each text begins,
    then T. `longest` is the length of the longest text, known without asking the device.
    """

    position_1T: Tensor
    edge_E: Tensor
    longest: int

    @property
    def texts(self) -> int:
        """How many there are."""
        return len(self.edge_E) - 1

    def tensors(self) -> tuple[Tensor, ...]:
        """All that is on the device."""
        return (self.position_1T, self.edge_E)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The same with `function` of each tensor, as one that moves them to a device."""
        return type(self)(function(self.position_1T), function(self.edge_E), self.longest)


def pack(token_lists: Sequence[Sequence[int]]) -> tuple[Tensor, Packing]:
    """input_ids_1T, int64, and where the texts are in it; no list is empty."""
    length_B = np.array([len(tokens) for tokens in token_lists])
    edge_E = np.concatenate([[0], np.cumsum(length_B)])
    id_T = np.fromiter(chain.from_iterable(token_lists), np.int64, edge_E[-1])
    position_T = np.arange(edge_E[-1]) - np.repeat(edge_E[:-1], length_B)
    packing = Packing(
        torch.from_numpy(position_T)[None], torch.from_numpy(edge_E.astype(np.int32)), int(length_B.max())
    )
    return torch.from_numpy(id_T)[None], packing


def packed(input_ids_BL: Tensor, attention_mask_BL: Tensor) -> tuple[Tensor, Packing]:
    """A padded batch packed, whatever the side of its padding. Waits for the device."""
    real_BL = attention_mask_BL.bool()
    position_BL = attention_mask_BL.cumsum(1) - 1
    length_B = attention_mask_BL.sum(1)
    edge_E = torch.nn.functional.pad(length_B.cumsum(0), (1, 0)).to(torch.int32)
    ids_1T, position_1T = input_ids_BL[real_BL][None], position_BL[real_BL][None]
    return ids_1T, Packing(position_1T, edge_E, int(length_B.max()))


def places(edge_E: Tensor, longest: int, tokens: int) -> Tensor:
    """place_T: where each token stands in a grid of one row a text, `longest` wide, row after row."""
    token_T = torch.arange(tokens, dtype=torch.int32, device=edge_E.device)
    text_T = torch.searchsorted(edge_E[1:], token_T, right=True)
    return text_T * longest + token_T - edge_E[text_T]


def to_grid(values_TX: Tensor, edge_E: Tensor, longest: int) -> Tensor:
    """values_BLX: one row a text, filled up with zeros on the right. Never waits for the device."""
    texts, (tokens, *rest) = len(edge_E) - 1, values_TX.shape
    if tokens == texts * longest:
        return values_TX.reshape(texts, longest, *rest)
    place_T = places(edge_E, longest, tokens)
    grid_GX = values_TX.new_zeros(texts * longest, *rest).index_copy(0, place_T, values_TX)
    return grid_GX.view(texts, longest, *rest)


def from_grid(values_BLX: Tensor, edge_E: Tensor, tokens: int) -> Tensor:
    """values_TX: what `to_grid` came from."""
    texts, longest, *rest = values_BLX.shape
    flat_GX = values_BLX.reshape(texts * longest, *rest)
    if tokens == texts * longest:
        return flat_GX
    return flat_GX.index_select(0, places(edge_E, longest, tokens))
