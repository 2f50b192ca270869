"""A checkpoint of a tiny random encoder, made on the spot."""

from collections.abc import Iterable
from pathlib import Path

import torch

from distributed_hbt.config.model import ModelConfig, TokenizerConfig, TrainTokenizer
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import save_encoder
from distributed_hbt.models.tokenizer import train_tokenizer


def write_checkpoint(
    folder: Path, texts: Iterable[str], poison: bool = False, *, hidden: int = 32, vocab: int = 500
) -> Path:
    """`folder`/encoder: one layer, a tokenizer trained on `texts`; `poison` makes every weight NaN."""
    tokenizer = train_tokenizer(iter(texts), vocab)
    model = ModelConfig(
        architecture={
            "model_type": "qwen3",
            "hidden_size": hidden,
            "intermediate_size": 2 * hidden,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": hidden // 2,
        },
        tokenizer=TokenizerConfig(train=TrainTokenizer(vocab_size=vocab)),
        dtype="float32",
        max_passage_length=64,
    )
    encoder = build_encoder(model, seed=3, vocab_size=len(tokenizer))
    state = encoder.state_dict()
    if poison:
        state = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}
    manifest = EncoderManifest.from_config(model, embedding_dimension=hidden)
    save_encoder(folder / "encoder", encoder, tokenizer, manifest, state)
    return folder
