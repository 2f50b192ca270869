"""From the last layer's hidden states to one vector a text."""

import torch
from torch import Tensor


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
