"""The texts of a collection as a loaded encoder sees them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.errors import CheckpointError
from distributed_hbt.evaluation.benchmarks.collection import Collection, Entry
from distributed_hbt.evaluation.encode import Padding, encode
from distributed_hbt.evaluation.full_ranking import Floats, Pool, build_pool

if TYPE_CHECKING:
    import torch


class Texts(Padding, Protocol):
    """The part of `models.text.TextEncoder` that evaluation needs."""

    @property
    def fingerprint(self) -> str: ...

    def queries(self, texts: Sequence[str], /) -> list[list[int]]: ...

    def passages(self, texts: Sequence[str], /) -> list[list[int]]: ...


class Manifest(Protocol):
    """The part of `models.manifest.EncoderManifest` that evaluation needs."""

    @property
    def normalize(self) -> bool: ...


class Model(Protocol):
    """The part of `models.saved.LoadedEncoder` that evaluation needs."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def encoder(self) -> "torch.nn.Module": ...

    @property
    def texts(self) -> Texts: ...


def embed_queries(
    config: EvaluationConfig, collection: Collection, model: Model, checkpoint: str, device: str
) -> dict[str, Floats]:
    """Embeddings [Q, D] of the queries of each language. Raises CheckpointError for NaN."""
    texts = [query.text for language in collection.languages for query in collection.queries[language]]
    embedding_QD = _embed(config, model, model.texts.queries(texts), checkpoint, device)
    found, start = {}, 0
    for language in collection.languages:
        stop = start + len(collection.queries[language])
        found[language] = embedding_QD[start:stop]
        start = stop
    return found


def embed_candidates(
    config: EvaluationConfig, collection: Collection, model: Model, checkpoint: str, device: str
) -> Pool:
    """The candidates of all languages. Raises CheckpointError for NaN."""
    placed: list[tuple[str, Entry]] = [
        (language, candidate)
        for language in collection.languages
        for candidate in collection.candidates[language]
    ]
    tokens = model.texts.passages([candidate.text for _, candidate in placed])
    embedding_ND = _embed(config, model, tokens, checkpoint, device)
    return build_pool(
        [candidate.id for _, candidate in placed], embedding_ND, [language for language, _ in placed]
    )


def _embed(
    config: EvaluationConfig, model: Model, tokens: list[list[int]], checkpoint: str, device: str
) -> Floats:
    embedding_ND = encode(
        model.encoder,
        model.texts,
        tokens,
        max_tokens_per_batch=config.max_tokens_per_batch,
        device=device,
        dimension=config.dimension,
        normalize=model.manifest.normalize,
    )
    if not np.isfinite(embedding_ND).all():
        what = "its embeddings hold NaN or infinity, so nothing can be ranked"
        raise CheckpointError(checkpoint, what, "training diverged: evaluate an earlier checkpoint")
    return embedding_ND
