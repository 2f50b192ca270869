"""Smaller codes of embeddings: searched first, to find the candidates that are worth an exact score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.config.evaluation import StoreConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.embedding_store.rounding import (
    Dtype,
    Floats,
    to_float32,
    to_stored,
)

Packed = Mapping[str, NDArray[Any]]
"""Codes as they are on disk: arrays by name, a row of each for a row of the embeddings."""

_SHORTEST = 1e-12  # as the encoder's normalisation has it


class Codes(Protocol):
    """A way to make vectors that are cheaper to search; the same embedding always has the same code."""

    @property
    def name(self) -> str:
        """Of its files; different where the codes of the same embeddings are."""
        ...

    def pack(self, embedding_ND: Floats) -> Packed:
        """From embeddings as the store gives them."""
        ...

    def unpack(self, packed: Packed) -> Floats:
        """[N, P] float32: what the queries of `queries` are multiplied with."""
        ...

    def queries(self, query_QD: Floats) -> Floats:
        """[Q, P] float32."""
        ...


@dataclass(frozen=True, slots=True)
class Int8Codes:
    """An embedding as integers from -127 to 127 and one factor, its largest value / 127."""

    @property
    def name(self) -> str:
        return "int8"

    def pack(self, embedding_ND: Floats) -> Packed:
        scale_N1 = np.abs(embedding_ND).max(axis=1, keepdims=True) / np.float32(127)
        # Also for a row of zeros, and for one whose values are so small that the factor is none.
        divisor_N1 = np.where(scale_N1 > 0, scale_N1, np.float32(1))
        code_ND = np.clip(np.rint(embedding_ND / divisor_N1), -127, 127).astype(np.int8)
        return {"scale": scale_N1, "code": code_ND}

    def unpack(self, packed: Packed) -> Floats:
        return np.multiply(packed["code"], packed["scale"], dtype=np.float32)

    def queries(self, query_QD: Floats) -> Floats:
        """As they are: only passages are rounded."""
        return query_QD


@dataclass(frozen=True, slots=True)
class PrefixCodes:
    """The first dimensions (Matryoshka, arXiv 2205.13147), at unit length again where `normalize`."""

    prefix: int
    normalize: bool
    dtype: Dtype

    @property
    def name(self) -> str:
        return f"prefix-{self.prefix}" + ("-unit" if self.normalize else "")

    def pack(self, embedding_ND: Floats) -> Packed:
        return {"code": to_stored(self.queries(embedding_ND), self.dtype)}

    def unpack(self, packed: Packed) -> Floats:
        return to_float32(packed["code"])

    def queries(self, query_QD: Floats) -> Floats:
        prefix_QP = query_QD[:, : self.prefix]
        if not self.normalize:
            return np.ascontiguousarray(prefix_QP)
        length_Q1 = np.linalg.norm(prefix_QP, axis=1, keepdims=True)
        unit_QP: Floats = prefix_QP / np.maximum(length_Q1, np.float32(_SHORTEST))
        return unit_QP


def codes_of(config: StoreConfig, *, normalize: bool) -> Codes | None:
    """The codes that a configuration asks for; `normalize` is the encoder manifest's."""
    if config.codes == "int8":
        return Int8Codes()
    if config.codes == "prefix":
        assert config.prefix is not None, "the configuration was checked"
        return PrefixCodes(config.prefix, normalize, config.dtype)
    return None


def check_codes(codes: Codes | None, dimension: int) -> None:
    """Raises ConfigError for a prefix that is longer than the embedding."""
    if isinstance(codes, PrefixCodes) and codes.prefix > dimension:
        what = f"{codes.prefix} is more than the embedding's {dimension}"
        raise ConfigError("evaluation.store.prefix", what, "choose a prefix of the embedding")
