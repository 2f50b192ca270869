"""An exported encoder as an MLflow model: texts in, embeddings out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.pyfunc import PythonModel
from numpy.typing import NDArray

from distributed_hbt.errors import DataError
from distributed_hbt.models.saved import LoadedEncoder, load_encoder

ARTIFACT = "encoder"
"""The exported folder, among the model's artifacts."""
KINDS = ("query", "passage")
_ROWS_AT_ONCE = 64


class EncoderModel(PythonModel):  # type: ignore[misc]
    """Takes columns `text` and `kind` (`query` or `passage`), gives float32 [rows, dimension]."""

    def __init__(self) -> None:
        self._loaded: LoadedEncoder | None = None

    def load_context(self, context: Any) -> None:
        """Called once, before the first prediction."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._loaded = load_encoder(Path(context.artifacts[ARTIFACT]), device=device)

    def predict(self, context: Any, model_input: Any, params: Any = None) -> NDArray[np.float32]:
        """Embeddings in the order of the rows. Raises DataError for a kind that is none."""
        assert self._loaded is not None, "MLflow loads the context first"
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
                embedding_ND[chunk] = _embed(self._loaded, kind, [texts[row] for row in chunk])
        return embedding_ND


def _embed(loaded: LoadedEncoder, kind: str, texts: list[str]) -> NDArray[np.float32]:
    tokens = loaded.texts.queries(texts) if kind == "query" else loaded.texts.passages(texts)
    device = next(loaded.encoder.parameters()).device
    inputs = [tensor.to(device) for tensor in loaded.texts.pad(tokens)]
    embedding_BD: NDArray[np.float32] = loaded.encoder.embed(*inputs).cpu().numpy()
    return embedding_BD
