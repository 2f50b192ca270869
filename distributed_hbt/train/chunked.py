"""The module that DeepSpeed drives: chunks of token batches in, embeddings out."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from distributed_hbt.losses.optimal_transport import transport_cost
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.packing import Packing


@dataclass(frozen=True)
class Chunk:
    """Sequences that go through the encoder together, padded or packed (`layout`: attention_mask_BL, or the
    packing of input_ids_1T); `seed` fixes their dropout."""

    input_ids_BL: Tensor
    layout: Tensor | Packing
    seed: int
    lesson: "TokenStates | None" = None

    @property
    def texts(self) -> int:
        """How many sequences there are."""
        return self.layout.texts if isinstance(self.layout, Packing) else len(self.layout)

    def tensors(self) -> tuple[Tensor, ...]:
        """All that is on the device."""
        layout = self.layout.tensors() if isinstance(self.layout, Packing) else (self.layout,)
        return (self.input_ids_BL, *layout)


@dataclass(frozen=True, eq=False)
class TokenStates:
    """A teacher's states of what it reads in the place of each sequence of a chunk; mask_BM is 1 on real
    tokens, and on one token of zeros where it reads nothing."""

    state_BMD: Tensor
    mask_BM: Tensor


@dataclass(frozen=True)
class Transport:
    """How token states are compared; see `losses.optimal_transport`."""

    regularisation: float
    iterations: int


class ChunkedEncoder(nn.Module):
    """Encodes several chunks in one forward, so that one backward reaches all of them.

    With `transport`, embeddings have one more column: what it costs to move a sequence's token states onto
    those of its chunk's lesson. So the cost goes wherever an embedding goes, with its gradient.
    """

    def __init__(self, encoder: Encoder, transport: Transport | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self._transport = transport

    def forward(self, chunks: Sequence[Chunk]) -> Tensor:
        """Embeddings of the chunks' sequences in order, [sum of B, D], or D + 1."""
        embeddings = []
        for chunk in chunks:
            torch.manual_seed(chunk.seed)
            if self._transport is None:
                embeddings.append(self.encoder(chunk.input_ids_BL, chunk.layout))
            else:
                embeddings.append(self._with_cost(chunk, self._transport))
        return torch.cat(embeddings)

    def _with_cost(self, chunk: Chunk, transport: Transport) -> Tensor:
        """embedding_BD and, as its last column, cost_B."""
        mask_BL, lesson = chunk.layout, chunk.lesson
        assert isinstance(mask_BL, Tensor), "token states are compared in padded chunks"
        embedding_BD, hidden_BLD = self.encoder.with_tokens(chunk.input_ids_BL, mask_BL)
        if lesson is None:
            return torch.cat([embedding_BD, embedding_BD.new_zeros(len(embedding_BD), 1)], dim=1)
        cost_B = transport_cost(
            hidden_BLD,
            mask_BL,
            lesson.state_BMD,
            lesson.mask_BM,
            regularisation=transport.regularisation,
            iterations=transport.iterations,
        )
        return torch.cat([embedding_BD, cost_B.unsqueeze(1)], dim=1)
