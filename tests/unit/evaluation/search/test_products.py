"""That every matrix product's values are within the margins that it states."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from distributed_hbt.evaluation.search.approximation import Product
from distributed_hbt.evaluation.search.bfloat16_product import BFloat16Block, BFloat16Product, bfloat16_below
from distributed_hbt.evaluation.search.bounds import float32_below, norms
from distributed_hbt.evaluation.search.float32_product import Float32Product
from distributed_hbt.evaluation.search.gpu_product import GpuProduct
from distributed_hbt.evaluation.search.pair_scores import Floats
from tests.unit.evaluation.search.reference import all_scores, unit

MAKE: dict[str, Callable[[Floats, Floats], Product]] = {
    "bfloat16": BFloat16Product,
    "float32": lambda query_QD, centre_D: Float32Product(query_QD),
    "gpu float32": lambda query_QD, centre_D: GpuProduct(query_QD, centre_D, "cpu", torch.float32),
    "gpu float64": lambda query_QD, centre_D: GpuProduct(query_QD, centre_D, "cpu", torch.float64),
}
RNG = np.random.default_rng(0)
NORMAL = RNG.standard_normal((240, 50))
VECTORS: dict[str, Floats] = {
    "unit": unit(NORMAL),
    "all one way": unit(NORMAL + 4),
    "nearly equal": unit(NORMAL * 1e-3 + 1),
    "of many lengths": (NORMAL * np.logspace(-20, 15, 240)[:, None]).astype(np.float32),
    "tiny": (NORMAL * 1e-22).astype(np.float32),
    "below normal numbers": (NORMAL * 1e-39).astype(np.float32),
    "one dimension": NORMAL[:, :1].astype(np.float32),
    # Just above what bfloat16 can hold: all are rounded up, or down, by the most there is.
    "rounded up": np.full((240, 50), 1 + 2.0**-8 + 2.0**-20, np.float32),
    "rounded down": np.full((240, 50), 1 + 2.0**-8 - 2.0**-20, np.float32),
}


@pytest.mark.parametrize("vectors", list(VECTORS))
@pytest.mark.parametrize("make", list(MAKE))
@pytest.mark.parametrize("centred", [False, True])
def test_no_value_is_further_from_its_score_than_stated(make: str, vectors: str, centred: bool) -> None:
    """A bound that forgets a term: passages would be ruled out that are among the best."""
    query_QD, passage_ND = VECTORS[vectors][:40], VECTORS[vectors][40:]
    centre_D = passage_ND.mean(axis=0) if centred else np.zeros_like(passage_ND[0])
    prepared = MAKE[make](query_QD, centre_D).prepare(passage_ND)
    block = prepared.block(slice(5, 40), slice(0, 200))
    score_RN = all_scores(query_QD[5:40], passage_ND)
    value_RN = block.values(np.arange(score_RN.size)).reshape(score_RN.shape)
    margins, rows = prepared.margins, slice(5, 40)
    error_RN = abs(margins.base_Q[rows, None] + value_RN - score_RN.astype(np.float64))
    # Half a step of bfloat16 is no part of the error, but of how a limit is rounded.
    rounded_RN = abs(value_RN.astype(np.float64)) * (2.0**-8 if make == "bfloat16" else 0)
    assert (error_RN <= margins.error_Q[rows, None] + rounded_RN).all()
    for column in range(0, 200, 7):
        limit_R = score_RN[:, column]
        reaching = np.zeros(score_RN.size, bool)
        reaching[block.reaching(margins.floor(limit_R, rows))] = True
        assert reaching.reshape(score_RN.shape)[score_RN >= limit_R[:, None]].all()
        above_RN = value_RN > margins.ceiling(limit_R, rows)[:, None]
        assert (score_RN > limit_R[:, None])[above_RN].all()
        least_R = margins.least(value_RN[:, column], rows)
        assert (score_RN >= least_R[:, None])[value_RN >= value_RN[:, column : column + 1]].all()


@pytest.mark.parametrize("make", list(MAKE))
def test_margins_of_unit_vectors_are_narrow(make: str) -> None:
    """Bounds so wide that nothing is ruled out."""
    vectors = VECTORS["all one way"]
    prepared = MAKE[make](vectors[:40], vectors[40:].mean(axis=0)).prepare(vectors[40:])
    assert prepared.margins.error_Q.max() < {"bfloat16": 2e-3, "gpu float32": 1e-3}.get(make, 2e-5)


def test_margins_on_a_gpu_hold_if_its_units_cut_the_numbers() -> None:
    """torch multiplies in TF32 where a user asks for it, and drops 13 bits of every number."""
    query_QD = np.full((3, 50), 1 + 2.0**-10 - 2.0**-23, np.float32)
    product = GpuProduct(query_QD, np.zeros(50, np.float32), "cpu", torch.float32)
    margins = product.prepare(query_QD).margins

    def cut(vector_ND: Floats) -> NDArray[np.float64]:
        return (vector_ND.view(np.int32) & ~0x1FFF).view(np.float32).astype(np.float64)

    error = abs(cut(query_QD) @ cut(query_QD).T - all_scores(query_QD, query_QD))
    assert 0 < error.max() <= margins.error_Q.min() <= 1.2 * error.max()


@pytest.mark.parametrize("make", list(MAKE))
def test_the_best_and_the_counts_of_a_block_are_those_of_its_values(make: str) -> None:
    """Positions, rows or columns mixed up; negative values in the wrong order."""
    vectors = VECTORS["unit"]
    prepared = MAKE[make](vectors[:40], vectors[0] * 0).prepare(vectors[40:])
    block, other = prepared.block(slice(3, 11), slice(0, 90)), prepared.block(slice(3, 11), slice(90, 200))
    value_RB, other_RB = (b.values(np.arange(8 * n)).reshape(8, n) for b, n in ((block, 90), (other, 110)))
    best_RK = np.sort(np.concatenate([value_RB, other_RB], axis=1), axis=1)
    for k in (1, 5, 150):
        best = other.best(k, block.best(k, None))
        np.testing.assert_array_equal(best.lowest(), best_RK[:, -k])
    assert block.best(500, None).lowest().tolist() == value_RB.min(axis=1).tolist()
    row_T = np.array([0, 0, 3, 7])
    floor_T, ceiling_T = value_RB[row_T, [5, 6, 7, 8]], value_RB[row_T, [6, 5, 9, 8]]
    above_T, position_P = block.around(row_T, floor_T, ceiling_T)
    value_TB = value_RB[row_T]
    np.testing.assert_array_equal(above_T, (value_TB > ceiling_T[:, None]).sum(axis=1))
    between_TB = (value_TB >= floor_T[:, None]) & (value_TB <= ceiling_T[:, None])
    np.testing.assert_array_equal(position_P, np.flatnonzero(between_TB))
    chosen = prepared.block(np.array([10, 3]), slice(0, 90)).values(np.arange(180)).reshape(2, 90)
    np.testing.assert_allclose(chosen, value_RB[[7, 0]], atol=1e-3)


def test_codes_of_bfloat16_stand_in_the_order_of_the_values() -> None:
    """Negative values compared by their bits, which are in the opposite order."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    values = (bits.astype(np.uint32) << 16).view(np.float32)
    values = values[np.isfinite(values)]
    codes = BFloat16Block.encoded(values)
    np.testing.assert_array_equal(BFloat16Block.decoded(codes).view(np.int32), values.view(np.int32))
    order = codes.argsort()
    assert (np.diff(values[order]) >= 0).all()
    assert len(np.unique(codes)) == len(values)


@given(st.floats(-1e38, 1e38))
def test_rounding_down_gives_the_next_value_below(number: float) -> None:
    """A limit that is rounded to the nearest value, and with it passages that reach it."""
    for below, step in ((float32_below, 1), (bfloat16_below, 1 << 16)):
        (found,) = below(np.array([number]))
        assert np.float64(found) <= number
        bits = int(np.float32(found).view(np.int32))
        above = np.int32(bits + step if bits >= 0 else (bits - step if bits != -(2**31) else step)).view(
            np.float32
        )
        assert np.float64(above) > number


def test_norms_are_never_too_small() -> None:
    """A norm in float32 that is rounded down, or of values whose squares vanish."""
    for vectors in VECTORS.values():
        true_N = np.linalg.norm(vectors.astype(np.float64), axis=1)
        assert (norms(vectors) >= true_N).all()
    assert (norms(VECTORS["unit"]) < 1 + 1e-4).all()
