"""From the last layer's hidden states to one vector a text."""

import torch
from torch import Tensor

from distributed_hbt.models.packing import Packing, to_grid


def pool(pooling: str, hidden_BLD: Tensor, attention_mask_BL: Tensor, padding_side: str) -> Tensor:
    """Pooled hidden states, float32 [B, D]; every row of the mask has at least one 1."""
    position_B = pooled_position(pooling, attention_mask_BL, padding_side)
    if position_B is not None:
        return at(hidden_BLD, position_B).float()
    weight_BL1 = attention_mask_BL.unsqueeze(-1).to(torch.float32)
    return (hidden_BLD.float() * weight_BL1).sum(1) / weight_BL1.sum(1)


def pooled_position(pooling: str, attention_mask_BL: Tensor, padding_side: str) -> Tensor | None:
    """position_B of the one token that is pooled; None where all are."""
    length, real_B = attention_mask_BL.shape[1], attention_mask_BL.sum(1)
    left = padding_side == "left"
    match pooling:
        case "last_token":
            return torch.full_like(real_B, length - 1) if left else real_B - 1
        case "cls":
            return length - real_B if left else torch.zeros_like(real_B)
        case "mean":
            return None
    raise AssertionError(f"pooling {pooling}")


def at(values_BLX: Tensor, position_B: Tensor) -> Tensor:
    """values_BX: of every text that at its position."""
    row_B = torch.arange(len(values_BLX), device=values_BLX.device)
    return values_BLX[row_B, position_B]


def pool_packed(pooling: str, hidden_TD: Tensor, packing: Packing) -> Tensor:
    """Pooled hidden states of packed texts, float32 [B, D]."""
    place_B = pooled_place(pooling, packing)
    if place_B is not None:
        return hidden_TD.index_select(0, place_B).float()
    hidden_BLD = to_grid(hidden_TD, packing.edge_E, packing.longest)
    return hidden_BLD.sum(1, dtype=torch.float32) / torch.diff(packing.edge_E)[:, None]


def pooled_place(pooling: str, packing: Packing) -> Tensor | None:
    """place_B in the row of the one token of each text that is pooled; None where all are."""
    match pooling:
        case "last_token":
            return packing.edge_E[1:] - 1
        case "cls":
            return packing.edge_E[:-1]
        case "mean":
            return None
    raise AssertionError(f"pooling {pooling}")
