"""A model's folder, from wherever it comes, runs nothing."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import load_encoder, load_texts, save_encoder
from distributed_hbt.models.tokenizer import load_tokenizer
from distributed_hbt.planner.architecture import _read as read_architecture

CODE = """
from pathlib import Path
Path({evidence!r}).touch()
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
class Config(PretrainedConfig):
    model_type = "planted"
class Model(PreTrainedModel):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""
AUTO_MAP = {
    "AutoConfig": "planted.Config",
    "AutoModel": "planted.Model",
    "AutoTokenizer": ["planted.Tokenizer", "planted.Tokenizer"],
}


@pytest.fixture
def folder(model_of, tokenizer, tmp_path):
    """An encoder's folder, which is a base model's too."""
    model = model_of("qwen3")
    encoder = build_encoder(model, 3, vocab_size=len(tokenizer))
    manifest = EncoderManifest.from_config(model, embedding_dimension=encoder.dimension)
    save_encoder(tmp_path / "encoder", encoder, tokenizer, manifest, encoder.state_dict())
    return tmp_path / "encoder"


@pytest.fixture
def planted(folder, tmp_path):
    """Code in the folder that leaves a file behind when it is imported; the path of that file."""
    evidence = tmp_path / "ran"
    (folder / "planted.py").write_text(CODE.format(evidence=str(evidence)))
    for name in ("config.json", "tokenizer_config.json"):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, "auto_map": AUTO_MAP}))
    return evidence


def unknown_family(folder: Path) -> None:
    """Without the planted code, transformers does not know what the folder holds."""
    for name, key in (("config.json", "model_type"), ("tokenizer_config.json", "tokenizer_class")):
        content = json.loads((folder / name).read_text())
        content[key] = "planted" if key == "model_type" else "Tokenizer"
        (folder / name).write_text(json.dumps(content))


def test_code_beside_a_known_family_is_left_alone(folder, planted):
    """transformers that takes the folder's own class, or asks at a terminal whether it may."""
    model = ModelConfig(base=str(folder), dtype="float32")
    assert len(load_tokenizer(str(folder))) == 400
    build_encoder(model, 3, vocab_size=400)
    read_architecture(model)
    load_encoder(folder)
    load_texts(folder)
    assert not planted.exists()


def test_a_model_that_only_its_own_code_can_read_is_refused(folder, planted):
    """A traceback, a question at the terminal, or the code run after all."""
    unknown_family(folder)
    model = ModelConfig(base=str(folder), dtype="float32")
    for refused in (
        lambda: build_encoder(model, 3, vocab_size=400),
        lambda: read_architecture(model),
        lambda: load_encoder(folder),
    ):
        with pytest.raises((ConfigError, CheckpointError)) as caught:
            refused()
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"model\.tokenizer: no tokenizer can be loaded"):
        load_tokenizer(str(folder))
    assert not planted.exists()


def test_a_base_without_safetensors_is_refused(folder):
    """A model of the hub whose only weights are a pickle."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"model\.base: .*safetensors") as caught:
        build_encoder(ModelConfig(base=str(folder), dtype="float32"), 3, vocab_size=400)
    assert "\n" not in str(caught.value)


def test_remote_code_can_not_be_switched_on():
    """A run file that is handed on with the switch in it."""
    with pytest.raises(ValueError, match="code that comes with a model is never run"):
        ModelConfig(base="some/model", trust_remote_code=True)
    assert not ModelConfig(base="some/model", trust_remote_code=False).trust_remote_code
