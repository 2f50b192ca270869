"""Encoding on a GPU: the embeddings of the CPU, and no wait between batches."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.evaluation import encode as encoding
from distributed_hbt.evaluation.encode import encode, encode_stream
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.models.tokenizer import train_tokenizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU, and there is none here"),
]

SENTENCES = [f"Sentence {i} is about the number {i * i}" + ", and more" * (i % 7) for i in range(200)]
SIZES = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128}
SHAPES: dict[str, dict[str, Any]] = {
    "qwen3": {"architecture": {"model_type": "qwen3", **SIZES, "num_key_value_heads": 2, "head_dim": 16}},
    "mistral": {
        "architecture": {"model_type": "mistral", **SIZES, "num_key_value_heads": 2, "sliding_window": 8},
        "padding_side": "left",
    },
    "xlm-roberta": {
        "architecture": {"model_type": "xlm-roberta", **SIZES, "max_position_embeddings": 80},
        "attention": "bidirectional",
        "pooling": "cls",
    },
}


def built(family: str, dtype: str = "float32") -> tuple[Encoder, TextEncoder]:
    tokenizer = train_tokenizer(iter(SENTENCES), 400)
    model = ModelConfig(tokenizer="trained above", dtype=dtype, max_passage_length=64, **SHAPES[family])
    encoder = build_encoder(model, 1, len(tokenizer))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # attention of a fresh model is nearly uniform, and hides a wrong mask
        for parameter in encoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return encoder.eval(), TextEncoder(tokenizer, model)


@pytest.fixture
def full_precision() -> Iterator[None]:
    """Without TensorFloat-32, whose rounding would hide an error."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.parametrize("family", SHAPES)
def test_a_gpu_gives_the_embeddings_of_the_cpu(family: str, full_precision: None) -> None:
    """Catches a batch that is read before its copy has arrived, and a kernel that takes a mask otherwise."""
    encoder, texts = built(family)
    tokens = texts.passages(SENTENCES)
    expected = encode(encoder, texts, tokens, max_tokens_per_batch=512)
    found = encode(encoder.cuda(), texts, tokens, max_tokens_per_batch=512, device="cuda")
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", SHAPES)
def test_embeddings_on_a_gpu_are_those_of_forward(family: str, full_precision: None) -> None:
    """Catches a last layer that is shortened wrongly under the GPU's attention kernels."""
    encoder, texts = built(family)
    ids_BL, mask_BL = (tensor.cuda() for tensor in texts.pad(texts.passages(SENTENCES[:20])))
    encoder.cuda()
    with torch.no_grad():
        expected = encoder(ids_BL, mask_BL)
    torch.testing.assert_close(encoder.embed(ids_BL, mask_BL), expected, rtol=0, atol=1e-5)


def test_bfloat16_on_a_gpu_stays_near_float32() -> None:
    """Catches a precision lost beyond bfloat16's own, in pooling or normalisation."""
    (plain, texts), (rounded, _) = built("qwen3"), built("qwen3", "bfloat16")
    tokens = texts.passages(SENTENCES)
    expected = encode(plain, texts, tokens, max_tokens_per_batch=512)
    found = encode(rounded.cuda(), texts, tokens, max_tokens_per_batch=512, device="cuda")
    assert ((found * expected).sum(1) > 0.99).all()


def test_no_batch_waits_for_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a synchronisation in every batch, which leaves the GPU idle while the next one is prepared."""
    encoder, texts = built("qwen3")
    encoder.cuda()
    tokens = texts.passages(SENTENCES)
    expected = encode(encoder, texts, tokens, max_tokens_per_batch=256, device="cuda")  # also warms up
    copy = encoding._Rows._copy
    copies = []

    def allowed(rows: encoding._Rows) -> None:
        torch.cuda.set_sync_debug_mode("default")
        copies.append(len(rows._waiting))
        copy(rows)
        torch.cuda.set_sync_debug_mode("error")

    monkeypatch.setattr(encoding._Rows, "_copy", allowed)
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = encode(encoder, texts, tokens, max_tokens_per_batch=256, device="cuda")
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(copies) == 1
    assert copies[0] > 10
    assert np.array_equal(found, expected)


def test_a_stream_on_a_gpu_gives_what_lists_give() -> None:
    """Catches a window whose pinned batches are overwritten while the next one is tokenized."""
    encoder, texts = built("qwen3")
    encoder.cuda()
    found = [
        embedding_ND
        for _, embedding_ND in encode_stream(
            encoder, texts, SENTENCES, str, window=64, max_tokens_per_batch=512, device="cuda"
        )
    ]
    expected = encode(encoder, texts, texts.passages(SENTENCES), max_tokens_per_batch=512, device="cuda")
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=0, atol=1e-5)
