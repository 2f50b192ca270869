"""An encoder's folder: what is written is what comes back."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from distributed_hbt.errors import CheckpointError
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import load_encoder, save_base, save_encoder
from distributed_hbt.models.text import TextEncoder

FAMILIES = ("qwen3", "llama", "mistral", "gemma2", "gemma3_text", "xlm-roberta", "bert")


def embed(encoder, texts, sentences):
    with torch.no_grad():
        return encoder(*texts.pad(texts.passages(sentences)))


def moved(encoder):
    """The encoder with every trainable weight moved, as if it had been trained."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    return encoder.eval()


@pytest.fixture
def saved(model_of, tokenizer, sentences, tmp_path):
    """(family, **fields) -> encoder folder of a trained encoder, its model configuration, its embeddings."""

    def save(family, **fields):
        model = model_of(family, **fields)
        encoder = build_encoder(model, 3, vocab_size=len(tokenizer))
        base = None
        if model.lora is not None:
            save_base(tmp_path / "run" / "base", encoder)
            base = "../../../base"
        moved(encoder)
        folder = tmp_path / "run" / "checkpoints" / "step-00000001" / "encoder"
        manifest = EncoderManifest.from_config(model, embedding_dimension=encoder.dimension, base=base)
        state = {name: p for name, p in encoder.state_dict().items() if base is None or ".lora_" in name}
        save_encoder(folder, encoder, tokenizer, manifest, state)
        return folder, model, embed(encoder, TextEncoder(tokenizer, model), sentences)

    return save


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("attention", ["causal", "bidirectional"])
def test_a_whole_model_comes_back(family, attention, saved, sentences, tokenizer):
    """A weight, a prompt, the attention or the tokenizer lost on the way to the evaluation."""
    if family in ("bert", "xlm-roberta"):
        attention = "bidirectional"
    folder, model, live = saved(family, attention=attention, padding_side="left", pooling="mean")
    loaded = load_encoder(folder)
    assert loaded.texts.fingerprint == TextEncoder(tokenizer, model).fingerprint
    torch.testing.assert_close(embed(loaded.encoder, loaded.texts, sentences), live, rtol=0, atol=1e-6)
    assert not loaded.encoder.training
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "encoder.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize(
    ("family", "attention"), [(f, "bidirectional") for f in FAMILIES] + [(f, "causal") for f in FAMILIES[:5]]
)
def test_an_adapter_comes_back(family, attention, merged, saved, sentences, tmp_path):
    """An adapter without effect after loading, added with another scale, or put into a base that attends
    as it did before training."""
    lora = {"rank": 4, "alpha": 12.0, "dropout": 0.1}
    folder, _, live = saved(family, lora=lora, attention=attention, pooling="mean")
    loaded = load_encoder(folder, merge_lora=merged)
    torch.testing.assert_close(embed(loaded.encoder, loaded.texts, sentences), live, rtol=0, atol=1e-6)
    assert any(".lora_" in name for name in loaded.encoder.state_dict()) is not merged
    loaded.encoder.load_state_dict(
        {n: torch.zeros_like(t) for n, t in loaded.encoder.state_dict().items() if ".lora_" in n},
        strict=False,
    )
    without = embed(loaded.encoder, loaded.texts, sentences)
    assert merged or (without - live).abs().max() > 1e-2
    base_names = load_file(tmp_path / "run" / "base" / "model.safetensors").keys()
    assert not any("lora" in name or "base_layer" in name for name in base_names)
    weights = load_file(folder / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.") and ".lora_" in name for name in weights)
    assert not (folder / "model.safetensors").exists()


def test_an_adapter_of_some_layers_of_a_pretrained_base_comes_back(model_of, tokenizer, sentences, tmp_path):
    """Layers that come back as all layers; a base that attends causally again, as its own file says."""
    base = tmp_path / "pretrained"
    build_encoder(model_of("qwen3"), 1, vocab_size=len(tokenizer)).backbone.save_pretrained(base)
    model = model_of("qwen3", lora={"rank": 2, "target_modules": ("q_proj",), "layers": (1, 2)}).model_copy(
        update={"base": str(base), "architecture": None, "attention": "bidirectional"}
    )
    encoder = moved(build_encoder(model, 1, vocab_size=len(tokenizer)))
    manifest = EncoderManifest.from_config(model, embedding_dimension=32)
    save_encoder(tmp_path / "encoder", encoder, tokenizer, manifest, encoder.state_dict())
    assert len(load_file(tmp_path / "encoder" / "adapter_model.safetensors")) == 2
    loaded = load_encoder(tmp_path / "encoder")
    live = embed(encoder, loaded.texts, sentences)
    torch.testing.assert_close(embed(loaded.encoder, loaded.texts, sentences), live, rtol=0, atol=1e-6)


def test_transformers_and_peft_read_the_same_files(saved, sentences, tmp_path):
    """A folder that only this package can read."""
    import peft
    from transformers import AutoModel, AutoTokenizer

    whole, _, _ = saved("qwen3")
    ids = AutoTokenizer.from_pretrained(whole)("Passage: " + sentences[1])["input_ids"]
    loaded = load_encoder(whole)
    assert [*ids[:31], 2] == loaded.texts.passages([sentences[1]])[0]
    ids_BL = torch.tensor([ids])
    with torch.no_grad():
        theirs = AutoModel.from_pretrained(whole).eval()(ids_BL).last_hidden_state
        ours = loaded.encoder.backbone(ids_BL).last_hidden_state
        assert torch.equal(theirs, ours)
    adapter, _, _ = saved("qwen3", lora={"rank": 4, "layers": (0, 1)})
    with torch.no_grad():
        base = AutoModel.from_pretrained(tmp_path / "run" / "base")
        theirs = peft.PeftModel.from_pretrained(base, adapter).eval()(ids_BL).last_hidden_state
        ours = load_encoder(adapter).encoder.backbone(ids_BL).last_hidden_state
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)


def test_an_adapter_s_files_have_the_same_bytes_in_every_process(saved):
    """Target modules in the order of a set, which is another one in every process: a resumed run's encoder
    has another fingerprint."""
    folder, _, _ = saved("qwen3", lora={"rank": 2, "target_modules": "all-linear"})
    targets = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert targets == sorted(targets)
    assert len(targets) == 7


def test_dtype_can_be_chosen_at_loading(saved):
    """Weights that stay in the type they were saved in, or a type nobody asked for."""
    folder, _, _ = saved("qwen3", dtype="bfloat16")
    for dtype, expected in [(None, torch.bfloat16), ("float32", torch.float32)]:
        loaded = load_encoder(folder, dtype=dtype)
        assert {p.dtype for p in loaded.encoder.parameters()} == {expected}
    assert loaded.encoder.backbone.rotary_emb.inv_freq.dtype == torch.float32


def test_loading_leaves_the_random_state_alone(saved):
    """An evaluation beside the training that changes the training's dropout."""
    folder, _, _ = saved("qwen3", lora={"rank": 2})
    torch.manual_seed(4)
    state = torch.get_rng_state()
    load_encoder(folder)
    assert torch.equal(torch.get_rng_state(), state)


def test_tied_weights_are_written_and_read(model_of, tokenizer, tmp_path):
    """Two names for one tensor, which the file format refuses."""
    encoder = build_encoder(model_of("bert"), 1, vocab_size=len(tokenizer))
    layers = encoder.backbone.encoder.layer
    layers[1].output.dense.weight = layers[0].output.dense.weight
    manifest = EncoderManifest.from_config(model_of("bert"), embedding_dimension=32)
    save_encoder(tmp_path, encoder, tokenizer, manifest, encoder.state_dict())
    loaded = load_encoder(tmp_path).encoder.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
@pytest.mark.parametrize("damage", ["empty", "missing", "shape"])
def test_weights_that_are_not_whole_are_not_saved(lora, damage, model_of, tokenizer, tmp_path):
    """The partition of a ZeRO-3 rank saved in place of the weight: an adapter of empty tensors."""
    model = model_of("qwen3", **({"lora": lora} if lora else {}))
    encoder = build_encoder(model, 1, vocab_size=len(tokenizer))
    manifest = EncoderManifest.from_config(model, embedding_dimension=32, base="./base")
    state = dict(encoder.state_dict())
    name = next(name for name in state if ".lora_A." in name or (lora is None and "q_proj" in name))
    if damage == "missing":
        del state[name]
    else:
        state[name] = torch.empty(0) if damage == "empty" else torch.ones(3, 3)
    problem = {"empty": "is empty", "missing": "was not handed over", "shape": "has shape"}[damage]
    with pytest.raises(CheckpointError, match=f"the weight {name} {problem}"):
        save_encoder(tmp_path / "encoder", encoder, tokenizer, manifest, state)
    assert not (tmp_path / "encoder").exists()


def test_an_adapter_needs_a_base_and_a_manifest_that_says_so(model_of, tokenizer, tmp_path):
    """An adapter of random weights that nobody kept."""
    model = model_of("qwen3", lora={"rank": 2})
    encoder = build_encoder(model, 1, vocab_size=len(tokenizer))
    manifest = EncoderManifest.from_config(model, embedding_dimension=32)
    with pytest.raises(CheckpointError, match="an adapter belongs to a base"):
        save_encoder(tmp_path, encoder, tokenizer, manifest, encoder.state_dict())
    whole = manifest.model_copy(update={"adapter": False})
    with pytest.raises(CheckpointError, match="says adapter: False"):
        save_encoder(tmp_path, encoder, tokenizer, whole, encoder.state_dict())


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_a_damaged_folder_is_refused(lora, saved, tmp_path):
    """An encoder with random layers, evaluated as if it had been trained."""
    folder, _, _ = saved("qwen3", **({"lora": lora} if lora else {}))
    path = folder / ("adapter_model.safetensors" if lora else "model.safetensors")
    whole = load_file(path)
    name = next(iter(whole))

    def refused(weights, message):
        save_file(weights, path, metadata={"format": "pt"})
        with pytest.raises(CheckpointError, match=message) as caught:
            load_encoder(folder)
        assert "\n" not in str(caught.value)

    refused({n: t for n, t in whole.items() if n != name}, "lacks 1 weights, as ")
    refused({**whole, "extra.weight": torch.ones(1)}, "has, beyond the model's, 1 weights, as extra.weight")
    refused({**whole, name: torch.ones(5, 5)}, "shape")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError):
        load_encoder(folder)
    path.unlink()
    with pytest.raises(CheckpointError):
        load_encoder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "encoder.json"])
@pytest.mark.parametrize("content", [None, "{"])
def test_each_file_is_needed(name, content, saved):
    """A traceback, or a default in place of what is missing."""
    folder, _, _ = saved("qwen3")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(CheckpointError) as caught:
        load_encoder(folder)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_not_read(saved):
    """A checkpoint that runs code when it is loaded."""
    folder, _, _ = saved("qwen3")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError):
        load_encoder(folder)


def test_a_lost_base_is_named(saved, tmp_path):
    """An adapter copied without its run: an error about something else."""
    folder, _, _ = saved("qwen3", lora={"rank": 2})
    (tmp_path / "run" / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=str(tmp_path / "run" / "base")):
        load_encoder(folder)


def test_a_manifest_of_another_model_is_refused(saved):
    """Files of two encoders mixed in one folder."""
    folder, _, _ = saved("qwen3")
    content = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps({**content, "embedding_dimension": 64}))
    with pytest.raises(CheckpointError, match="embeddings have 32 dimensions, not 64"):
        load_encoder(folder)


def test_the_base_of_adapters_is_written_whole_and_replaces_an_older_one(model_of, tmp_path):
    """Files of an interrupted write, or of an earlier run, under the new adapters."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "stale.safetensors").write_text("")
    (tmp_path / "base.partial").mkdir()
    encoder = build_encoder(model_of("qwen3", lora={"rank": 2}), 1)
    save_base(tmp_path / "base", encoder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]
    assert sorted(path.name for path in (tmp_path / "base").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("family", ["qwen3", "gemma2"])
def test_an_encoder_that_was_trained_on_a_gpu_encodes_on_a_cpu(family, saved, sentences):
    """A checkpoint that only a machine with FlashAttention can evaluate."""
    folder, _, live = saved(family)
    content = json.loads((folder / "encoder.json").read_text())
    content["attention_implementation"] = "flash_attention_2"
    (folder / "encoder.json").write_text(json.dumps(content))
    loaded = load_encoder(folder)
    torch.testing.assert_close(embed(loaded.encoder, loaded.texts, sentences), live, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernel", ["sdpa", "torch_varlen"])
def test_an_encoder_that_was_trained_without_padding_comes_back_padded(kernel, saved, sentences, model_of):
    """A checkpoint that holds a way of training, and not of evaluating."""
    folder, model, live = saved("qwen3", padding_free=True)
    varlen = model.model_copy(update={"attention_implementation": kernel})
    EncoderManifest.from_config(varlen, embedding_dimension=32).write(folder)
    loaded = load_encoder(folder)
    assert loaded.manifest.attention_implementation == "sdpa"
    assert loaded.encoder.shortens_last_layer
    torch.testing.assert_close(embed(loaded.encoder, loaded.texts, sentences), live, rtol=0, atol=1e-6)
    assert "attn_implementation" not in (folder / "config.json").read_text()
