"""Small embedding stores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.embedding_store import Codes, EmbeddingStore, StoreIdentity, prepare_store

IDENTITY = StoreIdentity("encoder", "corpus", shard_rows=100, dtype="float16", dimension=16)


def store_in(stores: Path, codes: Codes | None = None, **values: Any) -> EmbeddingStore:
    """The store of IDENTITY with other values, and codes."""
    return prepare_store(stores, replace(IDENTITY, **values), codes, num_shards=3, num_rows=250)


def unit_vectors(num_rows: int, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    """Random embeddings [N, D] of unit length."""
    embedding_ND = np.random.default_rng(seed).standard_normal((num_rows, dimension)).astype(np.float32)
    return embedding_ND / np.linalg.norm(embedding_ND, axis=1, keepdims=True)
