"""Texts as a loaded encoder sees them."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import numpy as np

from distributed_hbt.errors import CheckpointError
from distributed_hbt.evaluation.encode import encode, encode_stream
from distributed_hbt.evaluation.full_ranking import Floats
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.models.saved import LoadedEncoder

Row = TypeVar("Row")

WINDOW = 4096
"""Passages that are sorted by length together; the next ones are tokenized meanwhile."""


def embed_tokens(
    model: LoadedEncoder, tokens: list[list[int]], choice: EncoderChoice, *, device: str
) -> Floats:
    """Embeddings [N, D] of token lists. Raises CheckpointError where they are not finite."""
    embedding_ND = encode(
        model.encoder,
        model.texts,
        tokens,
        max_tokens_per_batch=choice.max_tokens_per_batch,
        device=device,
        dimension=choice.dimension,
        normalize=model.manifest.normalize,
    )
    return _finite(embedding_ND, choice)


def embed_passages(
    model: LoadedEncoder,
    rows: Iterable[Row],
    text_of: Callable[[Row], str],
    choice: EncoderChoice,
    *,
    device: str,
) -> Iterator[tuple[list[Row], Floats]]:
    """(rows, their embeddings [N, D]) in the order of `rows`, a window at a time.

    Raises CheckpointError where embeddings are not finite.
    """
    windows = encode_stream(
        model.encoder,
        model.texts,
        rows,
        text_of,
        window=WINDOW,
        max_tokens_per_batch=choice.max_tokens_per_batch,
        device=device,
        dimension=choice.dimension,
        normalize=model.manifest.normalize,
    )
    for window, embedding_ND in windows:
        yield window, _finite(embedding_ND, choice)


def _finite(embedding_ND: Floats, choice: EncoderChoice) -> Floats:
    if not np.isfinite(embedding_ND).all():
        what = "its embeddings hold NaN or infinity, so nothing can be ranked"
        raise CheckpointError(str(choice.folder), what, "training diverged: evaluate an earlier checkpoint")
    return embedding_ND
