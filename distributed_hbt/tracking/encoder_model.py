"""An exported encoder as an MLflow model: texts in, embeddings out.

MLflow finds it by this module's name (its `loader_module`), so that no pickle is in the model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from distributed_hbt.errors import DataError
from distributed_hbt.models.saved import LoadedEncoder, load_encoder

KINDS = ("query", "passage")
_ROWS_AT_ONCE = 64


class EncoderModel:
    """Takes columns `text` and `kind` (`query` or `passage`), gives float32 [rows, dimension]."""

    def __init__(self, loaded: LoadedEncoder) -> None:
        self._loaded = loaded

    def predict(self, model_input: Any, params: Any = None) -> NDArray[np.float32]:
        """Embeddings in the order of the rows of a data frame. Raises DataError for a kind that is none."""
        texts, kinds = model_input["text"].tolist(), model_input["kind"].tolist()
        for kind in kinds:
            if kind not in KINDS:
                raise DataError("kind", f"{kind!r} is none", f"say {' or '.join(KINDS)}")
        dimension = self._loaded.manifest.embedding_dimension
        embedding_ND = np.empty((len(texts), dimension), dtype=np.float32)
        for kind in KINDS:
            rows = [row for row, found in enumerate(kinds) if found == kind]
            for first in range(0, len(rows), _ROWS_AT_ONCE):
                chunk = rows[first : first + _ROWS_AT_ONCE]
                embedding_ND[chunk] = self._embed(kind, [texts[row] for row in chunk])
        return embedding_ND

    def _embed(self, kind: str, texts: list[str]) -> NDArray[np.float32]:
        encoder, reader = self._loaded.encoder, self._loaded.texts
        tokens = reader.queries(texts) if kind == "query" else reader.passages(texts)
        device = next(encoder.parameters()).device
        inputs = [tensor.to(device) for tensor in reader.pad(tokens)]
        embedding_BD: NDArray[np.float32] = encoder.embed(*inputs).cpu().numpy()
        return embedding_BD


def _load_pyfunc(path: str) -> EncoderModel:
    """Called by MLflow with the exported folder."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return EncoderModel(load_encoder(Path(path), device=device))
