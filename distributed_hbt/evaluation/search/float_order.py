"""float32 values as integers in the same order: what is above, below or next becomes arithmetic."""

import numpy as np

from distributed_hbt.evaluation.search.pair_scores import Floats, Integers


def ordinal(value_P: Floats) -> Integers:
    """The place of each value among all float32 values; both zeros are 0."""
    bits_P = value_P.view(np.int32).astype(np.int64)
    return np.where(bits_P < 0, -(bits_P & 0x7FFFFFFF), bits_P)


def from_ordinal(place_P: Integers) -> Floats:
    """The inverse of `ordinal`."""
    bits_P = np.where(place_P < 0, -place_P | 0x80000000, place_P)
    return bits_P.astype(np.uint32).view(np.float32)
