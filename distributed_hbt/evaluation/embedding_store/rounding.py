"""Embeddings as they are on disk: float32, float16, or bfloat16, which numpy holds as its upper 16 bits.

Rounding is to the nearest, ties to even, in every case.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.errors import CheckpointError, ConfigError

Floats = NDArray[np.float32]
Dtype = Literal["float32", "float16", "bfloat16"]

_LARGEST = {
    "float32": float(np.finfo(np.float32).max),
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
}
_WIDER = {"float32": "", "float16": "set it to bfloat16 or float32", "bfloat16": "set it to float32"}
_BLOCK_BYTES = 16 << 20


def rounded(embedding_ND: Floats, dtype: Dtype) -> Floats:
    """The values that a later read of the store gives, bit for bit. Raises as `check_fits`."""
    check_fits(embedding_ND, dtype)
    if dtype == "float32":
        return embedding_ND
    result_ND = np.empty(embedding_ND.shape, np.float32)
    for rows in row_blocks(*embedding_ND.shape):
        result_ND[rows] = to_float32(to_stored(embedding_ND[rows], dtype))
    return result_ND


def check_fits(embedding_ND: Floats, dtype: Dtype) -> None:
    """Raises ConfigError for values that `dtype` can not hold, CheckpointError for NaN and infinity."""
    if embedding_ND.size == 0:
        return
    largest = float(np.maximum(embedding_ND.max(), -embedding_ND.min()))
    if not np.isfinite(largest):
        what = "the embeddings hold NaN or infinity, which is not stored"
        raise CheckpointError("evaluation.store", what, "evaluate another checkpoint")
    if largest > _LARGEST[dtype]:
        what = f"{dtype} holds numbers up to {_LARGEST[dtype]:.6g}, and an embedding has {largest:.6g}"
        raise ConfigError("evaluation.store.dtype", what, _WIDER[dtype])


def stored_dtype(dtype: Dtype) -> np.dtype[Any]:
    """The numpy type that holds it."""
    return np.dtype({"float32": np.float32, "float16": np.float16, "bfloat16": np.uint16}[dtype])


def to_stored(embedding_ND: Floats, dtype: Dtype) -> NDArray[Any]:
    """As on disk. The values must fit."""
    import torch

    if dtype == "float32":
        return embedding_ND
    # torch converts ten times as fast as numpy.
    stored_ND = torch.from_numpy(embedding_ND).to(getattr(torch, dtype))
    return stored_ND.view(torch.int16).numpy().view(stored_dtype(dtype))


def to_float32(stored_ND: NDArray[Any]) -> Floats:
    """From what `to_stored` gave, exactly. Always a copy."""
    import torch

    copy_ND = np.array(stored_ND)  # torch warns of arrays that can not be written
    if copy_ND.dtype == np.float32:
        return copy_ND
    kind = torch.bfloat16 if copy_ND.dtype == np.uint16 else torch.float16
    result_ND: Floats = torch.from_numpy(copy_ND.view(np.int16)).view(kind).float().numpy()
    return result_ND


def row_blocks(num_rows: int, dimension: int) -> Iterator[slice]:
    """All rows, cut so that a block in float32 takes no more than 16 MiB (but never less than a row)."""
    step = max(1, _BLOCK_BYTES // (4 * max(1, dimension)))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))
