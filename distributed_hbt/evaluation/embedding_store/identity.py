"""What tells one store from another."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from distributed_hbt.evaluation.embedding_store.rounding import Dtype

FORMAT_VERSION = 1
"""Raised whenever the files, or the way from a text to its embedding, change."""


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Everything that decides the embeddings of a store, and how they are cut into shards.

    `dimension` is the length of an embedding as it is stored, so a Matryoshka prefix that is evaluated has a
    store of its own. Paths are no part of it: a corpus may move. Neither are codes, which follow from the
    embeddings and lie beside them, nor the token budget of a batch, which changes last bits only.
    """

    encoder_fingerprint: str
    corpus_fingerprint: str
    shard_rows: int
    dtype: Dtype
    dimension: int
    format_version: int = FORMAT_VERSION

    @property
    def digest(self) -> str:
        """32 hexadecimal digits that name it."""
        content = json.dumps(asdict(self), sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def folder(self, stores: Path) -> Path:
        """Its folder below the one of all stores."""
        return stores / self.digest
