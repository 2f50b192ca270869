"""The tokenized, memory-mapped training data: built once, then read by every rank and run."""

from distributed_hbt.data.store.prepare import prepare_store
from distributed_hbt.data.store.reading import Store, open_store

__all__ = ["Store", "open_store", "prepare_store"]
