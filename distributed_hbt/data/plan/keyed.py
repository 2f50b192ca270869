"""Numbers that look random and are functions of a key: the same on every rank, in any order."""

import hashlib

import numpy as np

from distributed_hbt.data.plan.index import Int64, UInt64


def fold(*parts: int | str) -> int:
    """A 64-bit key of what is named by `parts`; the same in every process."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(values: UInt64) -> UInt64:
    """A bijection of 64-bit numbers that scatters neighbours (the finaliser of splitmix64)."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def scatter32(values: Int64, key: int) -> UInt64:
    """A keyed bijection of numbers in [0, 2^32): different inputs give different outputs."""
    low, high = np.uint32(key & 0xFFFFFFFF), np.uint32(key >> 32 & 0xFFFFFFFF)
    mixed = values.astype(np.uint32) ^ low
    for word in (high, low):
        mixed ^= mixed >> np.uint32(16)
        mixed *= np.uint32(0x85EBCA6B)
        mixed ^= mixed >> np.uint32(13)
        mixed *= np.uint32(0xC2B2AE35)
        mixed ^= mixed >> np.uint32(16)
        mixed += word
    return mixed.astype(np.uint64)


def uniform(key: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """float64[count] in [0, 1)."""
    counter = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    return (mix(mix(counter)) >> np.uint64(11)).astype(np.float64) * 2.0**-53
