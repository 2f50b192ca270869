"""Which matrix products a search uses."""

import numpy as np
import torch

from distributed_hbt.evaluation.search.approximation import Product
from distributed_hbt.evaluation.search.bfloat16_product import BFloat16Product, has_bfloat16
from distributed_hbt.evaluation.search.float32_product import Float32Product
from distributed_hbt.evaluation.search.gpu_product import GpuProduct
from distributed_hbt.evaluation.search.pair_scores import Floats

CENTRE_ROWS = 4096
"""Passages whose mean is the centre of all. Any centre is right; one in their midst is fast."""


def make_products(query_QD: Floats, passage_ND: Floats, device: str) -> list[Product]:
    """From the fastest to the one with the narrowest margins. `passage_ND` are the first passages to come."""
    centre_D = passage_ND[:CENTRE_ROWS].mean(axis=0, dtype=np.float64).astype(np.float32)
    if torch.device(device).type != "cpu":
        types = (torch.float32, torch.float64)
        return [GpuProduct(query_QD, centre_D, device, dtype) for dtype in types]
    finest = Float32Product(query_QD)
    return [BFloat16Product(query_QD, centre_D), finest] if has_bfloat16() else [finest]
