"""That a search stays within the memory that it may take."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from distributed_hbt.evaluation.search import StreamingTopK, Thresholds
from distributed_hbt.evaluation.search.pair_scores import Floats
from distributed_hbt.evaluation.search.sizes import sizes_for
from tests.unit.evaluation.search.reference import unit, use_products

MIB = 2**20
RNG = np.random.default_rng(0)

PASSAGES: dict[str, Callable[[], Floats]] = {
    "random": lambda: unit(RNG.standard_normal((12_000, 64))),
    "all equal": lambda: np.full((12_000, 64), 0.125, np.float32),
    "nearly equal": lambda: unit(RNG.standard_normal((12_000, 64)) * 1e-6 + 1),
    "not contiguous": lambda: np.asfortranarray(unit(RNG.standard_normal((12_000, 64)))),
}


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("passages", list(PASSAGES))
@pytest.mark.parametrize("k", [10, 200])
@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_memory_is_bounded_by_the_setting(
    name: str, k: int, passages: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A matrix of all scores, all of them candidates at once, or a copy of the corpus.

    All scores of 60 queries and 12,000 passages would be 3 MB in float32, and 69 MB as candidates.
    """
    use_products(monkeypatch, name)
    query_QD = unit(RNG.standard_normal((60, 64)))
    none_QR = np.full((60, 4), -1)
    thresholds = Thresholds(np.full((60, 4), 0.1, np.float32), none_QR, none_QR)
    passage_ND = PASSAGES[passages]()
    search = StreamingTopK(query_QD, k, memory_mb=4, thresholds=thresholds)
    inherent = 60 * k * 12 + 12_000 * 16 + query_QD.nbytes * 2
    assert peak_of(lambda: search.add(passage_ND, np.arange(12_000))) < 4 * MIB + inherent


def test_memory_does_not_grow_with_the_corpus() -> None:
    """Whatever is kept of passages that were searched."""
    query_QD = unit(RNG.standard_normal((100, 32)))
    passage_ND = PASSAGES["random"]()[:, :32].copy()
    search = StreamingTopK(query_QD, 20, memory_mb=4)
    search.add(passage_ND, np.arange(12_000))

    def more() -> None:
        for i in range(1, 6):
            search.add(passage_ND, np.arange(12_000) + i * 12_000)

    tracemalloc.start()
    search.add(passage_ND, np.arange(12_000) - 12_000)
    before = tracemalloc.get_traced_memory()[0]
    more()
    assert tracemalloc.get_traced_memory()[0] < before + 50_000
    tracemalloc.stop()


@pytest.mark.parametrize("memory_mb", [1, 7, 256, 10_000])
@pytest.mark.parametrize("dimension", [1, 64, 4_096])
@pytest.mark.parametrize("k", [1, 100, 1_000, 100_000])
def test_every_size_follows_from_the_memory(memory_mb: int, dimension: int, k: int) -> None:
    """Blocks of a fixed size, which are too large for little memory; sizes of zero, which never end."""
    sizes = sizes_for(memory_mb, dimension, k, "cpu")
    on_gpu = sizes_for(memory_mb, dimension, k, "cuda:1")
    third = memory_mb * MIB / 3
    assert 1 <= sizes.rows <= 2**16
    assert sizes.rows == 1 or sizes.rows * k * 2 * 96 <= third
    assert sizes.chunk(copied=False) == 1 or sizes.chunk(copied=False) * dimension * 2 <= third
    assert sizes.chunk(copied=True) == 1 or sizes.chunk(copied=True) * dimension * 6 <= third
    assert on_gpu.chunk(copied=False) == 1 or on_gpu.chunk(copied=False) * dimension * 16 <= third
    assert 0 < sizes.scores * 64 <= third
