"""The module that DeepSpeed drives: chunks of token batches in, embeddings out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.packing import Packing


@dataclass(frozen=True)
class Chunk:
    """Sequences that go through the encoder together, padded or packed (`layout`: attention_mask_BL, or the
    packing of input_ids_1T); `seed` fixes their dropout."""

    input_ids_BL: Tensor
    layout: Tensor | Packing
    seed: int

    def tensors(self) -> tuple[Tensor, ...]:
        """All that is on the device."""
        layout = self.layout.tensors() if isinstance(self.layout, Packing) else (self.layout,)
        return (self.input_ids_BL, *layout)


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
            embeddings.append(self.encoder(chunk.input_ids_BL, chunk.layout))
        return torch.cat(embeddings)
