"""Rounding to the type on disk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.evaluation.embedding_store.rounding import (
    Dtype,
    rounded,
    row_blocks,
    to_float32,
    to_stored,
)

LARGEST: dict[Dtype, float] = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38}


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@given(
    embedding=arrays.arrays(
        np.float32, (3, 5), elements=st.floats(-65504, 65504, width=32, allow_subnormal=True)
    )
)
def test_rounding_is_to_the_nearest(dtype: Dtype, embedding: np.ndarray) -> None:
    """Catches truncation instead of rounding, a lost sign, and values of another place."""
    result = rounded(embedding, dtype)
    assert result.dtype == np.float32
    if dtype == "bfloat16":
        below = (embedding.view(np.uint32) & 0xFFFF0000).view(np.float32)
        beyond = ((embedding.view(np.uint32) & 0xFFFF0000) + 0x10000).view(np.float32)
        exact = embedding.astype(np.float64)
        nearest = np.where(np.abs(exact - below) <= np.abs(exact - beyond), below, beyond)
        tie = np.abs(exact - below) == np.abs(exact - beyond)
        assert ((result == nearest) | (tie & (result == beyond))).all()
    else:
        np.testing.assert_array_equal(result, embedding.astype(dtype).astype(np.float32))
    np.testing.assert_array_equal(np.signbit(result), np.signbit(embedding))


def test_bfloat16_rounds_every_tie_to_even() -> None:
    """Catches rounding half up: all 32,768 non-negative upper halves with a lower half of exactly 0x8000."""
    upper = np.arange(0x7F7F, dtype=np.uint32)
    value = ((upper << 16) | 0x8000).view(np.float32)[None]
    for sign in (1, -1):
        expected = (upper + (upper & 1)) | (0x8000 if sign < 0 else 0)
        np.testing.assert_array_equal(to_stored(sign * value, "bfloat16")[0], expected)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_rounding_again_changes_nothing(dtype: Dtype) -> None:
    """Catches a search on a reused store that sees other values than the one that wrote it."""
    embedding_ND = np.random.default_rng(0).standard_normal((70_000, 100)).astype(np.float32)
    assert len(list(row_blocks(*embedding_ND.shape))) > 1
    once_ND = rounded(embedding_ND, dtype)
    np.testing.assert_array_equal(rounded(once_ND, dtype), once_ND)
    np.testing.assert_array_equal(to_float32(to_stored(embedding_ND, dtype)), once_ND)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_beyond_the_type_is_refused(dtype: Dtype, sign: int) -> None:
    """Catches 65505 that becomes 65504, and 70000 that becomes infinity, of either sign."""
    at_most = np.array([[0, sign * LARGEST[dtype]]], np.float32)
    assert rounded(at_most, dtype).tolist() == at_most.tolist()
    beyond = np.nextafter(at_most, np.float32(sign * np.inf))
    with pytest.raises(ConfigError, match=r"^evaluation.store.dtype: \S+ holds numbers up to .*; set it to"):
        rounded(beyond, dtype)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_values_that_are_not_finite_are_refused(dtype: Dtype, value: float) -> None:
    """Catches NaN that passes a comparison with the largest value, wherever it stands."""
    for column in range(3):
        embedding_ND = np.zeros((1, 3), np.float32)
        embedding_ND[0, column] = value
        with pytest.raises(CheckpointError, match="NaN or infinity"):
            rounded(embedding_ND, dtype)


@pytest.mark.parametrize(("rows", "dimension"), [(0, 8), (1, 1 << 24), (7, 1 << 21), (100_000, 100)])
def test_blocks_cover_every_row_once(rows: int, dimension: int) -> None:
    """Catches a last block that is left out, and a row longer than a block."""
    assert [row for block in row_blocks(rows, dimension) for row in range(block.start, block.stop)] == list(
        range(rows)
    )
