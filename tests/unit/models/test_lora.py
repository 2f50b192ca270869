"""Adapters: which weights, how many, and where."""

import pytest
import torch

from distributed_hbt.errors import ConfigError
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.lora import merge

ROWS = torch.tensor([[5, 9, 13, 22, 3], [7, 44, 12, 8, 3]])


def trainable(encoder):
    return {name: p.numel() for name, p in encoder.named_parameters() if p.requires_grad}


def train_a_little(encoder):
    torch.manual_seed(7)
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        embeddings = encoder(ROWS, torch.ones_like(ROWS))
        (embeddings[0] @ embeddings[1]).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("family", "count"),
    [
        # rank 4, two layers; q and o: 4 * (32 + 32) each, k and v: 4 * (32 + 16), MLP: 4 * (32 + 48)
        ("qwen3", 2 * (2 * 256 + 2 * 192 + 3 * 320)),
        ("llama", 2 * (2 * 256 + 2 * 192 + 3 * 320)),
        ("mistral", 2 * (2 * 256 + 2 * 192 + 3 * 320)),
        ("gemma2", 2 * (2 * 256 + 2 * 192 + 3 * 320)),
        ("gemma3_text", 2 * (2 * 256 + 2 * 192 + 3 * 320)),
        ("bert", 2 * (4 * 256 + 2 * 320)),
        ("xlm-roberta", 2 * (4 * 256 + 2 * 320)),
    ],
)
def test_all_linear_trains_every_linear_layer_and_nothing_else(family, count, model_of):
    """A projection left out, or base weights that are trained as well."""
    encoder = build_encoder(model_of(family, lora={"rank": 4}), 1)
    assert sum(trainable(encoder).values()) == count
    assert all(".lora_" in name for name in trainable(encoder))


def test_target_modules_and_layers_are_taken_literally(model_of):
    """A range that is off by one, or a module that was not named."""
    model = model_of(
        "qwen3",
        {"num_hidden_layers": 4},
        lora={"rank": 2, "target_modules": ("q_proj", "v_proj"), "layers": (1, 3)},
    )
    names = {name.split("backbone.")[1].split(".lora_")[0] for name in trainable(build_encoder(model, 1))}
    assert names == {f"layers.{i}.self_attn.{m}" for i in (1, 2) for m in ("q_proj", "v_proj")}


def test_layers_of_an_encoder_model(model_of):
    """A range that is looked for under the name that only decoders use."""
    encoder = build_encoder(model_of("bert", lora={"rank": 2, "layers": (1, 2)}), 1)
    assert {name.split(".")[3] for name in trainable(encoder)} == {"1"}


def test_a_single_module_name_is_a_name(model_of):
    """`target_modules: q_proj` taken for a pattern that matches nothing."""
    encoder = build_encoder(model_of("qwen3", lora={"rank": 2, "target_modules": "q_proj"}), 1)
    assert sum(trainable(encoder).values()) == 2 * 2 * (32 + 32)


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        (
            {"target_modules": ("q_proj", "w_proj")},
            "model.lora.target_modules: no linear module is named w_proj; choose among down_proj, gate_proj",
        ),
        ({"layers": (0, 3)}, r"model.lora.layers: \[0, 3\] goes beyond the model's 2 layers"),
    ],
)
def test_adapters_that_fit_nowhere_are_refused(lora, message, model_of):
    """A misspelt module beside a right one, which trains half of what was asked."""
    with pytest.raises(ConfigError, match=message):
        build_encoder(model_of("qwen3", lora=lora), 1)


def test_fresh_adapters_change_nothing_and_training_leaves_the_base_alone(model_of):
    """An adapter that disturbs the pretrained model at the start, or base weights that move."""
    plain = build_encoder(model_of("qwen3"), 1)
    encoder = build_encoder(model_of("qwen3", lora={"rank": 4}), 1)
    mask = torch.ones_like(ROWS)
    with torch.no_grad():
        assert torch.equal(plain(ROWS, mask), encoder(ROWS, mask))
    train_a_little(encoder)
    with torch.no_grad():
        assert (plain(ROWS, mask) - encoder(ROWS, mask)).abs().max() > 1e-3
    trained = {name.replace(".base_layer", ""): tensor for name, tensor in encoder.state_dict().items()}
    assert all(torch.equal(tensor, trained[name]) for name, tensor in plain.state_dict().items())


@pytest.mark.parametrize("family", ["qwen3", "gemma3_text", "xlm-roberta"])
def test_merged_equals_unmerged(family, model_of):
    """A merge with another scale, or one that leaves the adapters in place beside it."""
    encoder = build_encoder(model_of(family, lora={"rank": 4, "alpha": 12.0}), 1)
    train_a_little(encoder)
    encoder.eval()
    mask = torch.ones_like(ROWS)
    with torch.no_grad():
        before = encoder(ROWS, mask)
        merge(encoder.backbone)
        torch.testing.assert_close(encoder(ROWS, mask), before, rtol=0, atol=1e-6)
    assert encoder.state_dict().keys() == build_encoder(model_of(family), 1).state_dict().keys()


def test_dropout_acts_in_training_alone(model_of):
    """A dropout that is configured but never applied."""
    encoder = build_encoder(model_of("qwen3", lora={"rank": 4, "dropout": 0.5}), 1)
    train_a_little(encoder)
    mask = torch.ones_like(ROWS)
    with torch.no_grad():
        assert not torch.equal(encoder(ROWS, mask), encoder(ROWS, mask))
        encoder.eval()
        assert torch.equal(encoder(ROWS, mask), encoder(ROWS, mask))
