"""Which architecture a run has, without its weights, and where that is known from."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distributed_hbt.config.model import ModelConfig, TokenizerConfig
from distributed_hbt.errors import ConfigError, one_line

_SHAPES = Path(__file__).with_name("shapes.yaml")


@dataclass(frozen=True)
class Architecture:
    """`model` is the run's with `architecture` in the place of `base`; `source` is for people."""

    model: ModelConfig
    source: str

    @property
    def fields(self) -> dict[str, Any]:
        """The transformers configuration."""
        assert self.model.architecture is not None
        return self.model.architecture


def architecture_of(model: ModelConfig) -> Architecture:
    """`model.architecture`; else the config.json of a folder, the shapes that the planner carries, the hub.

    Raises ConfigError where none of them has it.
    """
    if model.architecture is not None:
        return Architecture(_with_architecture(model, _own(model)), "model.architecture of the run")
    assert model.base is not None
    if Path(model.base).is_dir():
        return Architecture(_with_architecture(model, _read(model)), f"config.json of {model.base}")
    known = carried_shapes()
    if model.base in known:
        return Architecture(
            _with_architecture(model, known[model.base]), f"the planner's shape of {model.base}"
        )
    return Architecture(_with_architecture(model, _read(model)), f"config.json of {model.base} on the hub")


def carried_shapes() -> dict[str, dict[str, Any]]:
    """Hub id -> transformers configuration."""
    shapes: dict[str, dict[str, Any]] = yaml.safe_load(_SHAPES.read_text(encoding="utf-8"))
    return shapes


def _own(model: ModelConfig) -> dict[str, Any]:
    """A tokenizer that is trained on the spot gives the size of the vocabulary, at most."""
    assert model.architecture is not None
    if isinstance(model.tokenizer, TokenizerConfig):
        return {**model.architecture, "vocab_size": model.tokenizer.train.vocab_size}
    return model.architecture


def _with_architecture(model: ModelConfig, fields: dict[str, Any]) -> ModelConfig:
    """Not validated anew: a pretrained model's tokenizer is its own."""
    return model.model_copy(update={"architecture": dict(fields), "base": None})


def _read(model: ModelConfig) -> dict[str, Any]:
    """The configuration of a folder or of a hub model; its weights are not touched."""
    from transformers import AutoConfig

    assert model.base is not None
    try:
        config = AutoConfig.from_pretrained(model.base, revision=model.revision, trust_remote_code=False)
    except Exception as error:  # hub, files, unknown families: each with errors of its own
        what = f"no configuration can be read from {model.base} ({one_line(error)})"
        remedy = "name a folder that has its config.json, or give its shape as model.architecture"
        raise ConfigError("model.base", what, remedy) from error
    known = {field.name for field in dataclasses.fields(type(config))} - {"dtype", "pad_token_id"}
    fields = {name: value for name, value in config.to_diff_dict().items() if name in known}
    return {"model_type": config.model_type, **fields}
