"""Parameters counted without memory are those of the model that is built, and those that were published."""

from pathlib import Path
from typing import Any

import pytest
import torch

from distributed_hbt.config.model import LoraConfig, ModelConfig
from distributed_hbt.models.build import build_encoder
from distributed_hbt.planner.architecture import architecture_of, carried_shapes
from distributed_hbt.planner.parameters import count_parameters
from tests.unit.planner.runs import KINDS, small_model

PUBLISHED = {
    "Qwen/Qwen3-0.6B-Base": 596_049_920,
    "Qwen/Qwen3-4B-Base": 4_022_468_096,
    "Qwen/Qwen3-8B-Base": 8_190_735_360,
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "google/gemma-2b": 2_506_172_416,
    "FacebookAI/xlm-roberta-base": 278_043_648,
    "FacebookAI/xlm-roberta-large": 559_890_432,
    "google-bert/bert-base-multilingual-cased": 177_853_440,
    "sentence-transformers/LaBSE": 470_926_848,
}
"""As the hub shows them for each repository: with the head of a causal language model where it is no copy of
the embeddings, with the pooler of an encoder."""

OWN_HEAD = ("Qwen/Qwen3-8B-Base", "meta-llama/Llama-3.1-8B", "mistralai/Mistral-7B-v0.1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lora", [None, LoraConfig(rank=4, layers=(0, 1))], ids=["full", "lora"])
def test_counts_are_those_of_a_built_model(kind: str, lora: LoraConfig | None) -> None:
    """A tied or untied matrix counted twice, an adapter among the frozen weights."""
    model = small_model(kind, lora=lora)
    counts = count_parameters(architecture_of(model))
    encoder = build_encoder(model, seed=1)
    named = dict(encoder.named_parameters())
    adapter = sum(p.numel() for name, p in named.items() if "lora_" in name)
    assert counts.total == sum(p.numel() for p in named.values()) - adapter
    assert counts.adapter == adapter
    assert counts.trained == sum(p.numel() for p in named.values() if p.requires_grad)
    tables = [m for m in encoder.modules() if isinstance(m, torch.nn.Embedding)]
    assert counts.embeddings == sum(table.weight.numel() for table in tables)
    assert counts.without_embeddings == counts.total - counts.embeddings
    assert counts.held == sum(counts.sizes)


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_of_public_models_are_the_published_ones(name: str) -> None:
    """A shape with a digit that is wrong: every plan of it would be."""
    shape = carried_shapes()[name]
    encoder = shape["model_type"] in ("bert", "xlm-roberta")
    model = ModelConfig(
        base=name,
        attention="bidirectional" if encoder else "causal",
        pooling="mean" if encoder else "last_token",
    )
    width = shape["hidden_size"]
    left_out = width * width + width if encoder else 0
    left_out += shape["vocab_size"] * width if name in OWN_HEAD else 0
    assert count_parameters(architecture_of(model)).total + left_out == PUBLISHED[name]


def test_adapters_by_hand() -> None:
    """Adapters of frozen layers, or of one matrix of each pair."""
    counts = count_parameters(architecture_of(small_model("qwen3", lora=LoraConfig(rank=4))))
    heads, shared, width, inner = 64, 32, 64, 192
    a_layer = 4 * (2 * (width + heads) + 2 * (width + shared) + 3 * (width + inner))
    assert counts.adapter == counts.trained == 3 * a_layer


def test_matrices_by_hand() -> None:
    """Norms or embeddings among what a token is multiplied with; the pooled token's share."""
    counts = count_parameters(architecture_of(small_model("qwen3")))
    heads, shared, width, inner = 64, 32, 64, 192
    pooled = 2 * width * heads + 3 * width * inner
    assert counts.matrices == 3 * (pooled + 2 * width * shared)
    assert counts.pooled_alone == pooled
    assert counts.backward_matrices == counts.matrices


def test_layers_below_the_first_adapter_have_no_backward() -> None:
    """A backward that is charged for layers no gradient reaches."""
    counts = count_parameters(architecture_of(small_model("qwen3", lora=LoraConfig(rank=4, layers=(1, 2)))))
    assert counts.backward_matrices * 3 == counts.matrices * 2


def test_a_folder_is_read_from_its_configuration_alone(tmp_path: Path) -> None:
    """A plan that wants the weights, or that takes another shape than the folder's."""
    model = small_model("qwen3")
    encoder: Any = build_encoder(model, seed=1)
    encoder.backbone.config.save_pretrained(tmp_path)
    found = architecture_of(ModelConfig(base=str(tmp_path)))
    assert found.source == f"config.json of {tmp_path}"
    assert count_parameters(found) == count_parameters(architecture_of(model))


def test_a_carried_shape_needs_no_network() -> None:
    """The order of sources: what the planner carries stands before the hub."""
    assert "the planner's shape" in architecture_of(ModelConfig(base="Qwen/Qwen3-8B-Base")).source
