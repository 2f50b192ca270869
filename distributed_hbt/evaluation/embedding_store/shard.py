"""One shard of a store: written once, verified whenever it is opened, read from its memory map."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.errors import WorkerFailed
from distributed_hbt.evaluation.embedding_store.codes import Codes, Packed
from distributed_hbt.evaluation.embedding_store.rounding import (
    Floats,
    check_fits,
    row_blocks,
    stored_dtype,
    to_float32,
    to_stored,
)
from distributed_hbt.evaluation.embedding_store.store import EmbeddingStore
from distributed_hbt.evaluation.embedding_store.tensor_file import (
    Damaged,
    Tensor,
    TensorFile,
    open_tensors,
    write_tensors,
)

_log = logging.getLogger(__name__)

_EMBEDDING, _IDS, _ID_STARTS = "embedding", "doc_ids", "doc_id_starts"


class StoredShard:
    """The documents of a shard in the order of the corpus. Arrays are read-only views of mapped files."""

    def __init__(self, index: int, file: TensorFile, codes: Codes | None, packed: Packed | None) -> None:
        self.index = index
        self.codes = codes
        self._arrays = file.arrays
        self._packed = packed

    @property
    def num_rows(self) -> int:
        return int(self._arrays[_EMBEDDING].shape[0])

    @property
    def dimension(self) -> int:
        return int(self._arrays[_EMBEDDING].shape[1])

    @cached_property
    def doc_ids(self) -> tuple[str, ...]:
        text = self._arrays[_IDS].tobytes()
        starts = self._arrays[_ID_STARTS].tolist()
        return tuple(text[start:stop].decode("utf-8", "surrogatepass") for start, stop in pairwise(starts))

    @property
    def stored(self) -> NDArray[Any]:
        """The mapped embeddings themselves [N, D]; bfloat16 as uint16."""
        return self._arrays[_EMBEDDING]

    def embeddings(self, start: int = 0, stop: int | None = None) -> Floats:
        """[stop - start, D] float32; reads no other rows."""
        return to_float32(self.stored[start:stop])

    def embeddings_of(self, row_N: NDArray[np.int64]) -> Floats:
        """[N, D] float32 of these rows, in this order."""
        return to_float32(self.stored[row_N])

    def blocks(self) -> Iterator[tuple[int, Floats]]:
        """(first row, embeddings [B, D]) of all rows, 16 MiB at a time."""
        for rows in row_blocks(self.num_rows, self.dimension):
            yield rows.start, self.embeddings(rows.start, rows.stop)

    def code_blocks(self) -> Iterator[tuple[int, Floats]]:
        """(first row, what the search of codes sees [B, P]) of all rows. Needs a store with codes."""
        assert self.codes is not None, "the store has no codes"
        assert self._packed is not None, "the store has no codes"
        for rows in row_blocks(self.num_rows, self.dimension):
            yield rows.start, self.codes.unpack({name: a[rows] for name, a in self._packed.items()})


def stored_shard(
    store: EmbeddingStore, index: int, encode: Callable[[], tuple[Sequence[str], Floats]]
) -> StoredShard:
    """A shard of the store; where it has none that is whole, `encode` gives (doc_ids, embeddings [N, D]).

    Raises what `write_shard` and `encode` do, and WorkerFailed where the disk gives back what was not
    written.
    """
    found = open_shard(store, index)
    if found is None:
        write_shard(store, index, *encode())
        found = open_shard(store, index)
    if found is None:
        what = "is damaged as soon as it is written"
        raise WorkerFailed(str(store.embeddings_path(index)), what, "see to the disk, or set another folder")
    return found


def write_shard(store: EmbeddingStore, index: int, doc_ids: Sequence[str], embedding_ND: Floats) -> None:
    """Write the embeddings of a shard, which replace any that are there. Codes are made by `open_shard`.

    Raises ConfigError for values that the store's type can not hold, CheckpointError for such that are not
    finite, WorkerFailed where the place can not be written, as when the disk is full.
    """
    dtype = store.identity.dtype
    num_rows, dimension = embedding_ND.shape
    assert (num_rows, dimension) == (len(doc_ids), store.identity.dimension), "not the store's shape"
    check_fits(embedding_ND, dtype)
    ids = [doc_id.encode("utf-8", "surrogatepass") for doc_id in doc_ids]
    starts = np.cumsum([0, *map(len, ids)], dtype=np.int64)
    blocks = (to_stored(embedding_ND[rows], dtype) for rows in row_blocks(num_rows, dimension))
    write_tensors(
        store.embeddings_path(index),
        _metadata(store, index),
        {
            _ID_STARTS: Tensor.of(starts),
            _EMBEDDING: Tensor(stored_dtype(dtype), (num_rows, dimension), blocks),
            _IDS: Tensor.of(np.frombuffer(b"".join(ids), np.uint8)),
        },
    )


def open_shard(store: EmbeddingStore, index: int) -> StoredShard | None:
    """A shard, every byte of it verified; None where there is none, or with a warning where it is damaged.

    Codes that are missing, damaged, or of other embeddings are made from the embeddings and written.
    Raises WorkerFailed where these can not be written.
    """
    file = _open(store.embeddings_path(index), _metadata(store, index))
    if file is None:
        return None
    if store.codes is None:
        return StoredShard(index, file, None, None)
    path = store.codes_path(index, store.codes)
    metadata = {**_metadata(store, index), "codes": store.codes.name, "embeddings": file.checksum}
    found = _open(path, metadata)
    if found is not None:
        return StoredShard(index, file, store.codes, found.arrays)
    packed = _pack(StoredShard(index, file, None, None), store.codes)
    write_tensors(path, metadata, {name: Tensor.of(array) for name, array in packed.items()})
    return StoredShard(index, file, store.codes, packed)


def _metadata(store: EmbeddingStore, index: int) -> dict[str, str]:
    return {"store": store.identity.digest, "index": str(index)}


def _open(path: Path, metadata: Mapping[str, str]) -> TensorFile | None:
    try:
        file = open_tensors(path)
        for key, value in metadata.items():
            if file.metadata.get(key) != value:
                raise Damaged(f"belongs elsewhere ({key} is {file.metadata.get(key)}, not {value})")
        return file
    except FileNotFoundError:
        return None
    except Damaged as damage:
        _log.warning("%s %s; it is not used but made anew", path, damage)
        return None


def _pack(shard: StoredShard, codes: Codes) -> Packed:
    parts = [codes.pack(block_ND) for _, block_ND in shard.blocks()]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
