"""Reading a pretrained backbone, and what is checked about any backbone."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import ConfigError, one_line
from distributed_hbt.models.attention import first_position, position_table


@dataclass(frozen=True)
class ReadBackbone:
    """A backbone, and the names of weights that the files lack, have too many, or have in another shape."""

    backbone: Any
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]


def read_backbone(
    name: str,
    *,
    dtype: str,
    attention_implementation: str,
    revision: str | None = None,
) -> ReadBackbone:
    """Read a folder or hub model without its head; weights that the files lack are random.

    Weights are read from safetensors alone, and no code that comes with the model is run.

    Raises whatever transformers raises.
    """
    from transformers import AutoModel

    with quiet():
        backbone, info = AutoModel.from_pretrained(
            name,
            revision=revision,
            trust_remote_code=False,
            dtype=getattr(torch, dtype),
            attn_implementation=attention_implementation,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    mismatched = sorted({key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]})
    return ReadBackbone(backbone, tuple(missing), tuple(sorted(info["unexpected_keys"])), tuple(mismatched))


def pretrained_backbone(model: ModelConfig) -> Any:
    """The backbone of `model.base`.

    Raises:
        ConfigError: it can not be loaded, is no text encoder, or its files lack weights.
    """
    assert model.base is not None
    try:
        read = read_backbone(
            model.base,
            dtype=model.dtype,
            attention_implementation=model.padded_implementation,
            revision=model.revision,
        )
    except Exception as error:  # hub, files, configuration: each with errors of its own
        known = attention_error(error, model)
        what = f"no model can be loaded from {model.base} ({one_line(error)})"
        raise known or ConfigError("model.base", what, "check the folder or hub id") from error
    if read.missing or read.mismatched:
        key = (read.missing + read.mismatched)[0]
        what = f"{model.base} lacks {len(read.missing + read.mismatched)} weights of the model, as {key}"
        raise ConfigError("model.base", what, "use a complete checkpoint of this architecture")
    if getattr(read.backbone, "_hf_peft_config_loaded", False):
        what = f"{model.base} is an adapter"
        raise ConfigError("model.base", what, "merge it into its base first (hbt export --merge-lora)")
    return without_pooler(read.backbone, "model.base")


def without_pooler(backbone: Any, where: str) -> Any:
    """Drop BERT's pooler, which is never used and would be saved and decayed; refuse what encodes no text."""
    config = backbone.config
    sizes = (getattr(config, "hidden_size", None), getattr(config, "vocab_size", None))
    if config.is_encoder_decoder or not all(isinstance(size, int) for size in sizes):
        what = f"a {config.model_type} is neither a text decoder nor a text encoder"
        raise ConfigError(where, what, "use one, for example a qwen3")
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None
    return backbone


def check_fit(backbone: Any, model: ModelConfig, vocab_size: int | None) -> None:
    """Whether tokens, text lengths and Matryoshka dimensions fit the backbone.

    Raises:
        ConfigError: one of them does not.
    """
    rows = backbone.config.vocab_size
    if vocab_size is not None and vocab_size > rows:
        what = f"has {vocab_size} tokens, and the model embeds {rows}"
        raise ConfigError("model.tokenizer", what, "use the tokenizer of the base")
    hidden_size = backbone.config.hidden_size
    if any(dimension > hidden_size for dimension in model.matryoshka_dimensions):
        what = f"{max(model.matryoshka_dimensions)} is more than the hidden size {hidden_size}"
        raise ConfigError("model.matryoshka_dimensions", what, f"stay at or below {hidden_size}")
    table: nn.Embedding | None = position_table(backbone)
    if table is None:
        return
    longest = table.num_embeddings - first_position(backbone)
    for name in ("max_query_length", "max_passage_length"):
        if getattr(model, name) > longest:
            what = f"{getattr(model, name)} is more than the {longest} positions of the model"
            raise ConfigError(f"model.{name}", what, f"set it to {longest} or less")


def attention_error(error: Exception, model: ModelConfig) -> ConfigError | None:
    """`error` as one about `model.attention_implementation`, where it is one."""
    if not is_attention_error(error):
        return None
    what = f"{model.padded_implementation} does not go with this model here ({one_line(error)})"
    remedy = "set it to eager"
    if model.padding_free:
        remedy = "set it to flash_attention_2, or to eager with padding_free: false"
    return ConfigError("model.attention_implementation", what, remedy)


def is_attention_error(error: Exception) -> bool:
    """Whether transformers says so of the attention kernel."""
    text = str(error)
    return ("does not support" in text and "attention" in text) or "FlashAttention" in text


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and load reports: what they report is checked instead."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
