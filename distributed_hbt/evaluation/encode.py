"""Token lists -> embeddings, in batches cut by a budget of padded tokens."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from distributed_hbt.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import torch

logger = logging.getLogger(__name__)


class Padding(Protocol):
    """The part of `models.text.TextEncoder` that encoding needs."""

    def pad(self, token_lists: Sequence[list[int]], /) -> "tuple[torch.Tensor, torch.Tensor]": ...


def encode(
    encoder: "torch.nn.Module",
    texts: Padding,
    token_lists: Sequence[list[int]],
    *,
    max_tokens_per_batch: int,
    device: "str | torch.device" = "cpu",
    dimension: int | None = None,
    normalize: bool = True,
) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """Embeddings [N, D], float32, in the order of `token_lists`.

    Equal token lists are encoded once and so get equal embeddings. Batches hold texts of similar length:
    at most `max_tokens_per_batch` padded tokens, but never less than one text. `dimension` keeps a prefix
    of the embedding (Matryoshka, arXiv 2205.13147), at unit length again when `normalize`. Raises
    ConfigError when the embedding is shorter than `dimension`.
    """
    import numpy as np
    import torch

    from distributed_hbt.data.chunks import cut

    places: dict[tuple[int, ...], int] = {}
    row_of_N = [places.setdefault(tuple(tokens), len(places)) for tokens in token_lists]
    distinct = [list(tokens) for tokens in places]
    lengths = np.array([len(tokens) for tokens in distinct], dtype=np.int64)
    chunks: list[tuple[list[int], Any]] = []
    was_training = encoder.training
    encoder.eval()
    done = 0
    with torch.no_grad():
        # The longest first, so that a budget which does not fit the memory fails at once.
        for positions in cut(lengths, max_tokens_per_batch):
            rows = positions.tolist()
            input_ids_BL, attention_mask_BL = texts.pad([distinct[row] for row in rows])
            embedding_BD = encoder(input_ids_BL.to(device), attention_mask_BL.to(device)).float()
            if dimension is not None:
                embedding_BD = _prefix(embedding_BD, dimension, normalize)
            chunks.append((rows, embedding_BD.cpu().numpy()))
            done += len(rows)
            logger.debug("encoded %d of %d texts", done, len(distinct))
    encoder.train(was_training)
    if not chunks:
        return np.zeros((0, dimension or 0), dtype=np.float32)
    distinct_ND = np.empty((len(distinct), chunks[0][1].shape[1]), dtype=np.float32)
    for rows, embedding in chunks:
        distinct_ND[rows] = embedding
    return distinct_ND[row_of_N]


def _prefix(embedding_BD: "torch.Tensor", dimension: int, normalize: bool) -> "torch.Tensor":
    from torch.nn.functional import normalize as to_unit_length

    if dimension > embedding_BD.shape[1]:
        raise ConfigError(
            "evaluation.dimension",
            f"{dimension} is more than the embedding's {embedding_BD.shape[1]}",
            "choose a prefix of the embedding, or null",
        )
    prefix_BD = embedding_BD[:, :dimension]
    return to_unit_length(prefix_BD, dim=-1) if normalize else prefix_BD
