"""From the last layer's hidden states to one vector a text."""

import torch
from torch import Tensor


def pool(pooling: str, hidden_BLD: Tensor, attention_mask_BL: Tensor, padding_side: str) -> Tensor:
    """Pooled hidden states, float32 [B, D]; every row of the mask has at least one 1."""
    match pooling:
        case "last_token":
            return _last_token(hidden_BLD, attention_mask_BL, padding_side)
        case "mean":
            weight_BL1 = attention_mask_BL.unsqueeze(-1).to(torch.float32)
            return (hidden_BLD.float() * weight_BL1).sum(1) / weight_BL1.sum(1)
        case "cls":
            return _first_token(hidden_BLD, attention_mask_BL, padding_side)
    raise AssertionError(f"pooling {pooling}")


def _last_token(hidden_BLD: Tensor, attention_mask_BL: Tensor, padding_side: str) -> Tensor:
    if padding_side == "left":
        return hidden_BLD[:, -1].float()
    return _at(hidden_BLD, attention_mask_BL.sum(1) - 1)


def _first_token(hidden_BLD: Tensor, attention_mask_BL: Tensor, padding_side: str) -> Tensor:
    if padding_side == "right":
        return hidden_BLD[:, 0].float()
    return _at(hidden_BLD, attention_mask_BL.shape[1] - attention_mask_BL.sum(1))


def _at(hidden_BLD: Tensor, position_B: Tensor) -> Tensor:
    row_B = torch.arange(hidden_BLD.shape[0], device=hidden_BLD.device)
    return hidden_BLD[row_B, position_B].float()
