"""encoder.json: written and read back, and refused when it is not right."""

import json

import pytest

from distributed_hbt.errors import CheckpointError
from distributed_hbt.models.manifest import EncoderManifest


@pytest.fixture
def manifest(model_of):
    model = model_of("qwen3", matryoshka_dimensions=(8, 16), query_prompt="प्रश्न: ", lora={"rank": 2})
    return EncoderManifest.from_config(model, embedding_dimension=32, base="../../../base")


def test_a_manifest_comes_back(manifest, tmp_path):
    """A field that is written in a form that reading refuses."""
    manifest.write(tmp_path)
    assert EncoderManifest.read(tmp_path) == manifest
    assert json.loads((tmp_path / "encoder.json").read_text(encoding="utf-8")) == {
        "format_version": 1,
        "embedding_dimension": 32,
        "pooling": "last_token",
        "attention": "causal",
        "attention_implementation": "sdpa",
        "padding_side": "right",
        "append_eos": True,
        "normalize": True,
        "matryoshka_dimensions": [8, 16],
        "query_prompt": "प्रश्न: ",
        "passage_prompt": "Passage: ",
        "max_query_length": 16,
        "max_passage_length": 32,
        "dtype": "float32",
        "base": "../../../base",
        "revision": None,
        "adapter": True,
    }


def test_the_base_of_a_run_is_the_configured_one(model_of):
    """An adapter that forgets which revision it was trained on."""
    model = model_of("qwen3", lora={"rank": 2}).model_copy(
        update={"base": "owner/name", "revision": "abc", "architecture": None}
    )
    manifest = EncoderManifest.from_config(model, embedding_dimension=32)
    assert (manifest.base, manifest.revision) == ("owner/name", "abc")


def test_a_relative_base_starts_from_the_encoder_folder(manifest, tmp_path):
    """A base that is found only from one working directory."""
    encoder = tmp_path / "run" / "checkpoints" / "step-1" / "encoder"
    assert manifest.base_location(encoder) == str(tmp_path / "run" / "base")
    hub = manifest.model_copy(update={"base": "owner/name"})
    assert hub.base_location(encoder) == "owner/name"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "has format version 2, and version 1 is read here"),
        ({"format_version": None}, "has format version None"),
        ({"poling": "mean"}, "poling: unknown key"),
        ({"pooling": "max"}, "pooling: 'max' does not fit"),
        ({"normalize": "yes"}, "normalize: 'yes' does not fit"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(manifest, tmp_path, change, message):
    """A manifest of another release read by halves: other pooling, other embeddings."""
    content = {**json.loads(manifest.model_dump_json()), **change}
    (tmp_path / "encoder.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        EncoderManifest.read(tmp_path)


def test_a_field_that_is_missing_is_refused(manifest, tmp_path):
    """A default that stands in for what the encoder was trained with."""
    content = json.loads(manifest.model_dump_json())
    del content["append_eos"]
    (tmp_path / "encoder.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="append_eos: is missing"):
        EncoderManifest.read(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b'{"format_version": 1', b"[]", b"\xff\xfe"])
def test_a_file_that_is_missing_or_damaged_is_one_line(content, tmp_path):
    """A traceback where a folder is not an encoder."""
    if content is not None:
        (tmp_path / "encoder.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"encoder\.json: ") as caught:
        EncoderManifest.read(tmp_path)
    assert "\n" not in str(caught.value)
