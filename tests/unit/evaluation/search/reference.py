"""What the tests of the search compare with, and the products that they are run with."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from distributed_hbt.evaluation.search import top_k
from distributed_hbt.evaluation.search.approximation import Product
from distributed_hbt.evaluation.search.bfloat16_product import BFloat16Product
from distributed_hbt.evaluation.search.float32_product import Float32Product
from distributed_hbt.evaluation.search.gpu_product import GpuProduct
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers

Products = list[Product]
PRODUCTS: dict[str, Callable[[Floats, Floats], Products]] = {
    "bfloat16": lambda query_QD, centre_D: [BFloat16Product(query_QD, centre_D), Float32Product(query_QD)],
    "float32": lambda query_QD, centre_D: [Float32Product(query_QD)],
    "gpu": lambda query_QD, centre_D: [
        GpuProduct(query_QD, centre_D, "cpu", dtype) for dtype in (torch.float32, torch.float64)
    ],
}


def use_products(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Searches use these products, the GPU's on the CPU, whatever the machine has."""

    def make(query_QD: Floats, passage_ND: Floats, device: str) -> Products:
        return PRODUCTS[name](query_QD, passage_ND.mean(axis=0, dtype=np.float64).astype(np.float32))

    monkeypatch.setattr(top_k, "make_products", make)


def unit(vectors: NDArray[Any]) -> Floats:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def all_scores(query_QD: Floats, passage_ND: Floats) -> Floats:
    """[Q, N], each by a scalar product of its own."""
    return np.vecdot(np.ascontiguousarray(query_QD)[:, None], np.ascontiguousarray(passage_ND))


def reference(query_QD: Floats, passage_ND: Floats, key_N: Integers, k: int) -> tuple[Floats, Integers]:
    """All passages sorted by score, ties by key: the scores and keys of the best k."""
    score_QN = all_scores(query_QD, passage_ND)
    order_QK = np.array([np.lexsort((key_N, -score_N))[:k] for score_N in score_QN], np.int64)
    order_QK = order_QK.reshape(len(query_QD), min(k, len(key_N)))
    return np.take_along_axis(score_QN, order_QK, axis=1), key_N[order_QK]


def portions(total: int, cuts: Sequence[int]) -> list[slice]:
    edges = [0, *sorted(cut % (total + 1) for cut in cuts), total]
    return [slice(start, stop) for start, stop in pairwise(edges)]
