"""Codes of embeddings."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from distributed_hbt.config.evaluation import StoreConfig
from distributed_hbt.evaluation.embedding_store import Int8Codes, PrefixCodes, codes_of
from tests.embedding_stores import unit_vectors


@given(
    embedding=arrays.arrays(
        np.float32, (4, 6), elements=st.floats(-65504, 65504, width=32, allow_subnormal=True)
    )
)
def test_int8_is_within_half_a_step(embedding: np.ndarray) -> None:
    """Catches a factor of another row, truncation, -128, and a division by zero for a row of zeros."""
    with np.errstate(all="raise", under="ignore"):
        packed = Int8Codes().pack(embedding)
        decoded = Int8Codes().unpack(packed)
    assert (packed["code"].dtype, packed["scale"].dtype) == (np.int8, np.float32)
    assert packed["code"].min() >= -127
    step = np.abs(embedding).max(1, keepdims=True).astype(np.float64) / 127
    assert (np.abs(decoded.astype(np.float64) - embedding) <= step * 0.50001 + 1e-44 * 127).all()


def test_int8_by_hand() -> None:
    """Catches a factor that uses less than the whole range."""
    packed = Int8Codes().pack(np.array([[127, -64.4, 0.6], [0, 0, 0], [0, 0, -1]], np.float32))
    assert packed["code"].tolist() == [[127, -64, 1], [0, 0, 0], [0, 0, -127]]
    assert packed["scale"].tolist() == [[1], [0], [np.float32(1) / np.float32(127)]]


@pytest.mark.parametrize("normalize", [True, False])
def test_a_prefix_is_normalised_as_the_encoder_does(normalize: bool) -> None:
    """Catches prefixes of unequal length that are ranked by it, also on the queries' side."""
    embedding_ND = unit_vectors(50)
    embedding_ND[7, :4] = 0
    prefix_NP = torch.from_numpy(embedding_ND)[:, :4]
    expected = torch.nn.functional.normalize(prefix_NP, dim=-1) if normalize else prefix_NP
    codes = PrefixCodes(4, normalize, "float32")
    np.testing.assert_allclose(codes.unpack(codes.pack(embedding_ND)), expected.numpy(), rtol=1e-6)
    np.testing.assert_allclose(codes.queries(embedding_ND), expected.numpy(), rtol=1e-6)


def test_a_prefix_has_the_type_of_the_store() -> None:
    """Catches a prefix that takes as many bytes as the whole."""
    for dtype in ("float16", "bfloat16"):
        assert PrefixCodes(4, True, dtype).pack(unit_vectors(3))["code"].nbytes == 3 * 4 * 2


def test_the_configuration_decides_the_codes() -> None:
    """Catches an option that is accepted and ignored."""
    assert codes_of(StoreConfig(), normalize=True) is None
    assert codes_of(StoreConfig(codes="int8"), normalize=True) == Int8Codes()
    prefix = StoreConfig(codes="prefix", prefix=64, dtype="bfloat16")
    assert codes_of(prefix, normalize=False) == PrefixCodes(64, False, "bfloat16")
    assert codes_of(prefix, normalize=True) == PrefixCodes(64, True, "bfloat16")
