"""A randomly initialised backbone from `model.architecture`."""

import dataclasses
import difflib
from typing import Any

import torch

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import ConfigError, one_line
from distributed_hbt.models.backbone import attention_error, quiet, without_pooler

_LEGACY_ROPE_KEYS = frozenset(
    {"rope_theta", "rope_scaling", "rope_local_base_freq", "sliding_window_pattern"}
)
"""Accepted by transformers for older configuration files, though no field of any configuration."""


def random_backbone(model: ModelConfig, vocab_size: int | None) -> Any:
    """The backbone without a head, weights drawn from torch's global generator.

    `vocab_size`, the tokenizer's, stands above that of the architecture.

    Raises:
        ConfigError: an unknown model_type or key, a value that does not fit, no text encoder.
    """
    from transformers import AutoModel

    assert model.architecture is not None
    fields = dict(model.architecture)
    model_type = fields.pop("model_type")
    configuration = _configuration_class(model_type)
    _check_keys(configuration, model_type, fields)
    if vocab_size is not None:
        fields["vocab_size"] = vocab_size
    # The default is the id that the original tokenizer pads with. In another vocabulary that id is a real
    # token, whose embedding would never be trained. RoBERTa's kin need it to count positions.
    if "roberta" not in model_type:
        fields.setdefault("pad_token_id", None)
    with quiet():
        try:
            config = configuration(**fields)
            _check_heads(config)
            backbone = AutoModel.from_config(
                config,
                dtype=getattr(torch, model.dtype),
                attn_implementation=model.padded_implementation,
            )
        except ConfigError:
            raise
        except Exception as error:  # transformers raises what the arithmetic of a wrong size raises
            raise _bad_architecture(error, model) from error
    return without_pooler(backbone, "model.architecture")


def _configuration_class(model_type: str) -> Any:
    from transformers import CONFIG_MAPPING

    if model_type in CONFIG_MAPPING:
        return CONFIG_MAPPING[model_type]
    near = difflib.get_close_matches(model_type, list(CONFIG_MAPPING.keys()), n=1, cutoff=0.0)
    what = f"transformers knows no model type {model_type!r}"
    raise ConfigError("model.architecture.model_type", what, f"did you mean {near[0]}?")


def _check_keys(configuration: Any, model_type: str, fields: dict[str, Any]) -> None:
    if "dtype" in fields:
        raise ConfigError("model.architecture.dtype", "is set elsewhere", "set model.dtype")
    known = {field.name for field in dataclasses.fields(configuration)} | set(configuration.attribute_map)
    if "rope_parameters" in known:
        known |= _LEGACY_ROPE_KEYS
    for key in fields:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
            what = f"a {model_type} has no such key"
            raise ConfigError(f"model.architecture.{key}", what, f"did you mean {near[0]}?")


def _check_heads(config: Any) -> None:
    """transformers notices heads that do not fit each other when the first text goes through."""
    heads = getattr(config, "num_attention_heads", None)
    shared = getattr(config, "num_key_value_heads", None)
    if heads and shared and heads % shared:
        what = f"{shared} does not divide num_attention_heads {heads}"
        raise ConfigError("model.architecture.num_key_value_heads", what, "change one of them")


def _bad_architecture(error: Exception, model: ModelConfig) -> ConfigError:
    return attention_error(error, model) or ConfigError(
        "model.architecture", f"no model can be made of it ({one_line(error)})", "correct its values"
    )
