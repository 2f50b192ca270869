"""What a run asks of its layers, and where it can not have it."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.config.train import TrainConfig
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.train.assembly import adapt_layers
from distributed_hbt.train.engine import Session


def session(stage: int) -> Session:
    accelerator: Any = SimpleNamespace(device=torch.device("cpu"))
    return Session(Ranks(0, 1, 0), accelerator, None, stage, timedelta(seconds=1))


@pytest.fixture
def encoder() -> Encoder:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    architecture = {"model_type": "llama", "vocab_size": 32, **sizes}
    return build_encoder(ModelConfig(architecture=architecture, tokenizer="t", pooling="mean"), 1)


def test_compiled_layers_under_zero_3_are_refused(encoder: Encoder) -> None:
    """Layers cut into pieces by the hooks that gather their weights: slower than plain ones."""
    with pytest.raises(ConfigError, match=r"train.compile: ZeRO-3 gathers weights"):
        adapt_layers(encoder, TrainConfig(compile=True), session(3))
    adapt_layers(encoder, TrainConfig(compile=True), session(2))
    assert all(layer._compiled_call_impl is not None for layer in encoder.backbone.layers)


def test_every_layer_is_recomputed_where_asked(encoder: Encoder) -> None:
    """A memory bound that is asked for and not obeyed."""
    adapt_layers(encoder, TrainConfig(), session(0))
    assert [layer.gradient_checkpointing for layer in encoder.backbone.layers] == [False, False]
    adapt_layers(encoder, TrainConfig(activation_checkpointing=True), session(0))
    assert [layer.gradient_checkpointing for layer in encoder.backbone.layers] == [True, True]
