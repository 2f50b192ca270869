"""Search with the matrix products on a GPU."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from distributed_hbt.evaluation.search import StreamingTopK, Thresholds, pair_scores
from distributed_hbt.evaluation.search.gpu_product import GpuProduct
from distributed_hbt.evaluation.search.pair_scores import Floats

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.fixture(params=[False, True], ids=["float32", "tf32"])
def tf32(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Both ways of multiplying float32 that a user can choose for the process."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if request.param else "highest")
    yield request.param
    torch.set_float32_matmul_precision(before)


def vectors(rows: int, dimension: int, direction: float, seed: int) -> Floats:
    found = np.random.default_rng(seed).standard_normal((rows, dimension), np.float32) + np.float32(direction)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("direction", [0.0, 1.5])
@pytest.mark.parametrize("k", [1, 100, 1_000])
def test_a_gpu_finds_what_the_cpu_finds_to_the_last_bit(tf32: bool, direction: float, k: int) -> None:
    """Results that depend on the worker that did the job, or on a switch of torch."""
    query_QD, passage_ND = vectors(300, 256, direction, 1), vectors(30_000, 256, direction, 2)
    passage_ND[20_000:21_000] = passage_ND[:1_000]
    key_N = np.random.default_rng(0).permutation(30_000)
    chosen_QR = np.random.default_rng(1).integers(0, 30_000, (300, 4))
    query_P = np.repeat(np.arange(300), 4)
    score_QR = pair_scores(query_QD, passage_ND, query_P, chosen_QR.ravel()).reshape(300, 4)
    thresholds = Thresholds(score_QR, key_N[chosen_QR], key_N[chosen_QR])
    found = []
    for device in ("cpu", "cuda"):
        search = StreamingTopK(query_QD, k, memory_mb=64, device=device, thresholds=thresholds)
        for part in (slice(0, 12_345), slice(12_345, None)):
            search.add(passage_ND[part], key_N[part])
        result = search.result()
        found.append((result.score_QK.tobytes(), result.key_QK.tobytes(), search.above_QR.tobytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dimension", [64, 1_000, 4_096])
def test_margins_hold_on_the_gpu(tf32: bool, dimension: int, dtype: torch.dtype) -> None:
    """Matrix units that add with larger errors than were accounted for."""
    query_QD, passage_ND = vectors(200, dimension, 1.0, 1), vectors(2_000, dimension, 1.0, 2)
    for centre_D in (passage_ND.mean(axis=0), np.zeros(dimension, np.float32)):
        prepared = GpuProduct(query_QD, centre_D, "cuda", dtype).prepare(passage_ND)
        block = prepared.block(slice(0, 200), slice(0, 2_000))
        value_QN = block.values(np.arange(200 * 2_000)).reshape(200, 2_000).astype(np.float64)
        score_QN = query_QD.astype(np.float64) @ passage_ND.T.astype(np.float64)
        margins = prepared.margins
        assert (abs(margins.base_Q[:, None] + value_QN - score_QN) <= margins.error_Q[:, None]).all()


def test_the_memory_of_the_gpu_is_bounded_too() -> None:
    """A corpus that is sent to the GPU whole."""
    query_QD, passage_ND = vectors(100, 512, 0.0, 1), vectors(60_000, 512, 0.0, 2)
    search = StreamingTopK(query_QD, 10, memory_mb=32, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    search.add(passage_ND, np.arange(60_000))
    assert torch.cuda.max_memory_allocated() - before < 32 * 2**20 + 4 * query_QD.nbytes
