"""A run's backbone in shapes alone: no weight is read or made."""

from typing import Any

import torch

from distributed_hbt.config.model import ModelConfig, TokenizerConfig
from distributed_hbt.models.architecture import random_backbone
from distributed_hbt.models.backbone import quiet, without_pooler
from distributed_hbt.models.lora import add_lora
from distributed_hbt.models.tokenizer import load_tokenizer


def trained_parameters(model: ModelConfig) -> int | None:
    """How many numbers are trained: of the adapters, or all. A tokenizer that is still to be trained is taken
    for as large as it may become. None where the configuration of `model.base` is neither in its folder nor
    in the hub's cache.

    Raises ConfigError for an architecture, a tokenizer or adapters that can not be made.
    """
    with torch.device("meta"):
        backbone = random_backbone(model, _vocab_size(model)) if model.base is None else _pretrained(model)
        if backbone is None:
            return None
        if model.lora is not None:
            add_lora(backbone, model.lora)
    return sum(int(parameter.numel()) for parameter in backbone.parameters() if parameter.requires_grad)


def _vocab_size(model: ModelConfig) -> int:
    if isinstance(model.tokenizer, TokenizerConfig):
        return model.tokenizer.train.vocab_size
    return len(load_tokenizer(str(model.tokenizer), trust_remote_code=model.trust_remote_code))


def _pretrained(model: ModelConfig) -> Any:
    from transformers import AutoConfig, AutoModel

    with quiet():
        try:
            config = AutoConfig.from_pretrained(model.base, revision=model.revision, local_files_only=True)
        except (OSError, ValueError):  # not there; or of a kind that needs code which nobody has allowed here
            return None
        backbone = AutoModel.from_config(config, attn_implementation="eager")
    return without_pooler(backbone, "model.base")
