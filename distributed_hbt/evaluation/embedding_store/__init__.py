"""Embeddings of a corpus on disk: made once, verified and memory-mapped by whoever searches it later."""

from distributed_hbt.evaluation.embedding_store.code_search import CodesHits, rescore, search_codes
from distributed_hbt.evaluation.embedding_store.codes import Codes, Int8Codes, PrefixCodes, codes_of
from distributed_hbt.evaluation.embedding_store.identity import StoreIdentity
from distributed_hbt.evaluation.embedding_store.loss import CodesLoss, evenly_chosen, merge_losses
from distributed_hbt.evaluation.embedding_store.rounding import rounded
from distributed_hbt.evaluation.embedding_store.shard import (
    StoredShard,
    open_shard,
    stored_shard,
    write_shard,
)
from distributed_hbt.evaluation.embedding_store.store import EmbeddingStore, prepare_store

__all__ = [
    "Codes",
    "CodesHits",
    "CodesLoss",
    "EmbeddingStore",
    "Int8Codes",
    "PrefixCodes",
    "StoreIdentity",
    "StoredShard",
    "codes_of",
    "evenly_chosen",
    "merge_losses",
    "open_shard",
    "prepare_store",
    "rescore",
    "rounded",
    "search_codes",
    "stored_shard",
    "write_shard",
]
