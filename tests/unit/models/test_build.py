"""Building encoders: seeds, architectures, pretrained bases."""

import pytest
import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.models.build import build_encoder

FAMILIES = ("qwen3", "llama", "mistral", "gemma2", "gemma3_text", "xlm-roberta", "bert")


def architecture(**fields):
    return ModelConfig(architecture=fields, tokenizer="unused", dtype="float32")


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_alone_decides_the_weights(family, lora, model_of):
    """Ranks that start from different weights because something drew a random number before."""
    model = model_of(family, **({"lora": lora} if lora else {}))
    torch.manual_seed(1)
    one = build_encoder(model, 13).state_dict()
    torch.manual_seed(2)
    torch.rand(7)
    state = torch.get_rng_state()
    other = build_encoder(model, 13).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    third = build_encoder(model, 14).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    drawn = [name for name in one if one[name].ndim == 2 and "lora_B" not in name]  # B starts at 0
    assert drawn
    assert not any(torch.equal(one[name], third[name]) for name in drawn)


def test_reading_a_base_leaves_the_random_state_alone(model_of, tmp_path):
    """Dropout that differs between a run from a base and the same run from a copy of it."""
    build_encoder(model_of("bert"), 1).backbone.save_pretrained(tmp_path)
    model = model_of("bert").model_copy(update={"base": str(tmp_path), "architecture": None})
    torch.manual_seed(3)
    state = torch.get_rng_state()
    build_encoder(model, 1)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_vocabulary_of_the_tokenizer_wins(model_of):
    """Token ids beyond the embedding matrix."""
    encoder = build_encoder(model_of("qwen3"), 1, vocab_size=401)
    assert encoder.backbone.embed_tokens.weight.shape == (401, 32)
    assert encoder.backbone.config.vocab_size == 401


@pytest.mark.parametrize("family", ["gemma2", "gemma3_text", "bert", "llama", "qwen3", "mistral"])
def test_no_token_of_a_random_model_is_left_untrained(family, model_of):
    """A family's default padding id, which is a real token in another vocabulary: no gradient ever."""
    encoder = build_encoder(model_of(family), 1)
    assert encoder.backbone.get_input_embeddings().padding_idx is None


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_no_head_and_no_pooler(family, model_of):
    """Weights that no embedding depends on."""
    encoder = build_encoder(model_of(family, pooling="mean"), 1)
    ids = torch.arange(3, 35).view(2, 16)
    encoder(ids, torch.ones_like(ids))[:, 0].sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtype_is_that_of_the_weights(dtype, model_of):
    """A bfloat16 run that quietly trains float32 weights."""
    encoder = build_encoder(model_of("qwen3", dtype=dtype), 1)
    assert {str(p.dtype) for p in encoder.parameters()} == {f"torch.{dtype}"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model_type": "qwen33"},
            "model.architecture.model_type: transformers knows no model type 'qwen33'; did you mean qwen3",
        ),
        (
            {"model_type": "qwen3", "hiden_size": 32},
            "model.architecture.hiden_size: a qwen3 has no such key; did you mean hidden_size?",
        ),
        ({"model_type": "qwen3", "temperature": 1.0}, "model.architecture.temperature: "),
        (
            {"model_type": "qwen3", "dtype": "float16"},
            "model.architecture.dtype: is set elsewhere; set model",
        ),
        ({"model_type": "qwen3", "hidden_size": "big"}, "model.architecture: no model can be made of it (.*"),
        (
            {"model_type": "llama", "hidden_size": 30, "num_attention_heads": 4},
            "model.architecture: no model",
        ),
        ({"model_type": "t5"}, "model.architecture: a t5 is neither a text decoder nor a text encoder"),
        ({"model_type": "gemma2", "hidden_size": 32, "num_hidden_layers": 1}, "set it to eager"),
    ],
)
def test_a_wrong_architecture_is_one_line(fields, message):
    """A misspelt key that transformers takes without a word, or a traceback of its arithmetic."""
    with pytest.raises(ConfigError, match=message.replace("?", r"\?").replace("(", r"\(")) as caught:
        build_encoder(architecture(**fields), 1, vocab_size=50)
    assert "\n" not in str(caught.value)


def test_rope_settings_of_older_configuration_files_are_known(model_of):
    """A key check that is stricter than transformers itself."""
    encoder = build_encoder(model_of("qwen3", {"rope_theta": 5000.0}), 1)
    assert encoder.backbone.config.rope_parameters["rope_theta"] == 5000.0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_is_read_without_a_network(family, model_of, tmp_path):
    """A folder that is looked up on the hub, or a head's prefix that hides all weights."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    model = model_of(family)
    with_head = AutoModelForMaskedLM if family in ("bert", "xlm-roberta") else AutoModelForCausalLM
    random = build_encoder(model, 5)
    headed = with_head.from_config(random.backbone.config)
    headed.base_model.load_state_dict(random.backbone.state_dict())
    headed.save_pretrained(tmp_path)
    loaded = build_encoder(model.model_copy(update={"base": str(tmp_path), "architecture": None}), 1)
    expected = random.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def from_base(model, base, **fields):
    return model.model_copy(update={"base": str(base), "architecture": None, **fields})


def test_a_base_that_lacks_weights_is_refused(model_of, tmp_path):
    """Random layers inside a pretrained model, after a mere warning."""
    from safetensors.torch import load_file, save_file

    build_encoder(model_of("qwen3"), 1).backbone.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"model.base: .* lacks 1 weights .*layers.1.mlp.up_proj.weight"):
        build_encoder(from_base(model_of("qwen3"), tmp_path), 1)


@pytest.mark.parametrize("content", [None, "{", '{"model_type": "nothing"}', '{"model_type": "qwen3"}'])
def test_a_base_that_can_not_be_loaded_is_one_line(content, model_of, tmp_path):
    """A page of traceback for a wrong path."""
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError, match=r"^model.base: no model can be loaded from ") as caught:
        build_encoder(from_base(model_of("qwen3"), tmp_path), 1)
    assert "\n" not in str(caught.value)


def test_a_tokenizer_larger_than_the_base_is_refused(model_of, tmp_path):
    """An index error in the first batch that holds a new token."""
    build_encoder(model_of("qwen3"), 1).backbone.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"model.tokenizer: has 65 tokens, and the model embeds 64"):
        build_encoder(from_base(model_of("qwen3"), tmp_path), 1, vocab_size=65)
    build_encoder(from_base(model_of("qwen3"), tmp_path), 1, vocab_size=64)


def test_code_of_a_repository_does_not_run_unasked(model_of, tmp_path):
    """A base that brings a Python file which runs on the machine that loads it."""
    (tmp_path / "config.json").write_text(
        '{"model_type": "odd", "auto_map": {"AutoConfig": "odd.C", "AutoModel": "odd.M"}}'
    )
    marker = tmp_path / "ran"
    (tmp_path / "odd.py").write_text(f"open({str(marker)!r}, 'w')\n")
    with pytest.raises(ConfigError, match=r"model\.base"):
        build_encoder(from_base(model_of("qwen3"), tmp_path), 1)
    assert not marker.exists()


def test_dimensions_beyond_the_embedding_are_refused(model_of):
    """A prefix longer than the embedding, which is silently the whole embedding."""
    with pytest.raises(ConfigError, match=r"model.matryoshka_dimensions: 33 is more than the hidden size 32"):
        build_encoder(model_of("qwen3", matryoshka_dimensions=(8, 33)), 1)
    build_encoder(model_of("qwen3", matryoshka_dimensions=(8, 32)), 1)


@pytest.mark.parametrize("family", ["xlm-roberta", "bert"])
def test_texts_longer_than_the_learned_positions_are_refused(family, model_of):
    """An index error at the first long passage; XLM-R's table has 40 rows for 38 positions."""
    with pytest.raises(ConfigError, match=r"model.max_passage_length: 39 is more than the 38 positions"):
        build_encoder(model_of(family, max_passage_length=39), 1)
    encoder = build_encoder(model_of(family, max_passage_length=38), 1)
    ids = torch.full((1, 38), 5)
    assert encoder(ids, torch.ones_like(ids)).isfinite().all()


def test_cls_pooling_needs_bidirectional_attention():
    """A first token that sees only itself: the same embedding for every text."""
    with pytest.raises(ValueError, match="pooling: cls takes the first token"):
        ModelConfig(base="x", pooling="cls")
