"""Counting what is trained, without weights."""

import json
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.shapes import trained_parameters

FIELDS: dict[str, Any] = {
    **{"model_type": "qwen3", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8},
}
LORA = {"rank": 2, "alpha": 4}


@pytest.mark.parametrize("lora", [None, LORA])
def test_random_weights_and_a_folder_are_counted_alike(tmp_path: Path, lora: dict[str, int] | None) -> None:
    """The head counted with a pretrained model, or its whole size where adapters alone are trained."""
    tokenizer = {"train": {"vocab_size": 400}}
    random = ModelConfig.model_validate_json(
        json.dumps({"architecture": FIELDS, "tokenizer": tokenizer, "dtype": "float32", "lora": lora})
    )
    encoder = build_encoder(random, seed=0, vocab_size=400)
    built = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert trained_parameters(random) == built
    (tmp_path / "config.json").write_text(json.dumps({**FIELDS, "vocab_size": 400}), encoding="utf-8")
    folder = ModelConfig.model_validate_json(json.dumps({"base": str(tmp_path), "lora": lora}))
    assert trained_parameters(folder) == built


def test_a_base_that_is_not_here_is_not_guessed(tmp_path: Path) -> None:
    """A hub id that nobody has fetched; nothing is fetched for counting."""
    assert trained_parameters(ModelConfig(base=str(tmp_path))) is None
    assert trained_parameters(ModelConfig(base="nobody/has-this-model")) is None
