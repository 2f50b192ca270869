"""Checkpoints of tiny encoders of the tested families, as training leaves them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import LoadedEncoder, save_base, save_encoder
from tests.unit.models.conftest import (  # noqa: F401 (fixtures)
    SENTENCES,
    ModelOf,
    bert_tokenizer,
    model_of,
    tokenizer,
    xlmr_tokenizer,
)

LONG = "a very long text, longer than anything that fits " * 4
TEXTS = (*SENTENCES, LONG, " spaces\tand  lines\n", "one </s> token <pad> that is <s> text")

Checkpoint = Callable[..., Path]


@pytest.fixture
def checkpoint(model_of: ModelOf, tokenizer: Any, tmp_path: Path) -> Checkpoint:  # noqa: F811
    """(family, tokenizer=..., **fields) -> the step folder of an encoder whose weights have moved."""
    default = tokenizer

    def make(family: str, *, tokenizer: Any = None, **fields: Any) -> Path:
        tokens = tokenizer or default
        fields = {"max_query_length": 14, **fields}
        model = model_of(family, **fields)
        encoder = build_encoder(model, 3, vocab_size=len(tokens))
        base = None
        if model.lora is not None and model.base is None:
            save_base(tmp_path / "run" / "base", encoder)
            base = "../../../base"
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for parameter in encoder.parameters():
                if parameter.requires_grad:
                    parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        folder = tmp_path / "run" / "checkpoints" / "step-00000004"
        manifest = EncoderManifest.from_config(model, embedding_dimension=encoder.dimension, base=base)
        save_encoder(folder / "encoder", encoder, tokens, manifest, encoder.state_dict())
        return folder

    return make


def embeddings(loaded: LoadedEncoder, kind: str) -> torch.Tensor:
    """Of TEXTS as queries or passages, by our own encoder."""
    tokens = loaded.texts.queries(TEXTS) if kind == "query" else loaded.texts.passages(TEXTS)
    return loaded.encoder.embed(*loaded.texts.pad(tokens))


def assert_same(given: Any, expected: torch.Tensor) -> None:
    """To 1e-5."""
    torch.testing.assert_close(torch.as_tensor(given), expected, rtol=0, atol=1e-5)
