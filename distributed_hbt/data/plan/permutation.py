"""Permutations of range(n) that are computed, never stored."""

import numpy as np

from distributed_hbt.data.plan.index import Int64, UInt64
from distributed_hbt.data.plan.keyed import mix

ROUNDS = 8
MIN_BITS = 6
"""A Feistel network mixes badly in fewer bits; small ranges walk a little longer instead."""


def permute(position: Int64, size: Int64, key: UInt64) -> Int64:
    """Where the permutation of range(size) named by `key` sends `position`; element by element.

    position, size: int64[n] with 0 <= position < size < 2^62; key: uint64[n]. For one size and key this
    is a bijection of range(size): an unbalanced Feistel network over the next power of two, walked on
    until it lands inside (Black and Rogaway, CT-RSA 2002). Time and memory O(n), whatever the size.
    """
    bits = np.maximum(np.ceil(np.log2(size.astype(np.float64))), MIN_BITS).astype(np.uint64)
    # log2 in floating point may fall just short of a whole number for sizes near 2^53 and above
    bits += (np.uint64(1) << bits) < size.astype(np.uint64)
    value = position.astype(np.uint64)
    limit = size.astype(np.uint64)
    outside = np.arange(len(value))
    while len(outside):
        walked = _feistel(value[outside], bits[outside], key[outside])
        value[outside] = walked
        outside = outside[walked >= limit[outside]]
    return value.astype(np.int64)


def _feistel(value: UInt64, bits: UInt64, key: UInt64) -> UInt64:
    one = np.uint64(1)
    right_bits = bits >> one
    right_mask = (one << right_bits) - one
    left_mask = (one << (bits - right_bits)) - one
    left, right = value >> right_bits, value & right_mask
    for number in range(ROUNDS):
        round_key = key + np.uint64(number * 0x9E3779B97F4A7C15 % 2**64)
        if number % 2 == 0:
            left ^= mix(right ^ round_key) & left_mask
        else:
            right ^= mix(left ^ round_key) & right_mask
    return np.asarray((left << right_bits) | right, dtype=np.uint64)
