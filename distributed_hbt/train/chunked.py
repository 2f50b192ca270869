"""The module that DeepSpeed drives: chunks of token batches in, embeddings out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distributed_hbt.models.encoder import Encoder


@dataclass(frozen=True)
class Chunk:
    """Padded sequences that go through the encoder together; `seed` fixes their dropout."""

    input_ids_BL: Tensor
    attention_mask_BL: Tensor
    seed: int


class ChunkedEncoder(nn.Module):
    """Encodes several chunks in one forward, so that one backward reaches all of them."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Embeddings of the chunks' sequences in order, [sum of B, D]."""
        embeddings = []
        for chunk in chunks:
            torch.manual_seed(chunk.seed)
            embeddings.append(self.encoder(chunk.input_ids_BL, chunk.attention_mask_BL))
        return torch.cat(embeddings)
