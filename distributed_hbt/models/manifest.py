"""`encoder.json`: all that is needed to use an encoder, beside its weights and its tokenizer."""

import json
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from distributed_hbt.config.base import Section
from distributed_hbt.config.messages import config_error
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.errors import CheckpointError

FILE_NAME = "encoder.json"
FORMAT_VERSION: Literal[1] = 1
_REMEDY = "export the encoder again"


class EncoderManifest(Section):
    """Written by training; read by evaluation, mining and export."""

    format_version: Literal[1] = FORMAT_VERSION
    embedding_dimension: int = Field(ge=1)
    pooling: Literal["last_token", "mean", "cls"]
    attention: Literal["causal", "bidirectional"]
    attention_implementation: Literal["sdpa", "eager", "flash_attention_2"]
    """For padded batches. `load_encoder` takes another where a machine lacks it."""
    padding_side: Literal["left", "right"]
    append_eos: bool
    normalize: bool
    matryoshka_dimensions: tuple[int, ...]
    query_prompt: str
    passage_prompt: str
    max_query_length: int = Field(ge=2)
    max_passage_length: int = Field(ge=2)
    dtype: Literal["float32", "bfloat16"]
    base: str | None
    """Hub id or folder that training started from; null for random weights. Of an adapter: where the
    weights are that it belongs to; a path that begins with a dot starts from this file's folder."""
    revision: str | None
    adapter: bool
    """The folder holds an adapter of `base`, not the whole model."""

    @classmethod
    def from_config(cls, model: ModelConfig, *, embedding_dimension: int, base: str | None = None) -> Self:
        """The manifest of what `build_encoder(model, ...)` builds.

        `base` replaces `model.base`: an adapter of a randomly initialised model needs the folder that
        `save_base` wrote, relative to the encoder's folder.
        """
        return cls(
            embedding_dimension=embedding_dimension,
            pooling=model.pooling,
            attention=model.attention,
            attention_implementation=model.padded_implementation,
            padding_side=model.padding_side,
            append_eos=model.append_eos,
            normalize=model.normalize,
            matryoshka_dimensions=model.matryoshka_dimensions,
            query_prompt=model.query_prompt,
            passage_prompt=model.passage_prompt,
            max_query_length=model.max_query_length,
            max_passage_length=model.max_passage_length,
            dtype=model.dtype,
            base=model.base if base is None else base,
            revision=model.revision if base is None else None,
            adapter=model.lora is not None,
        )

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises CheckpointError where the file is missing, damaged, or of another version."""
        path = folder / FILE_NAME
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text)
        except FileNotFoundError as error:
            raise CheckpointError(str(path), "no such file", "give the folder of an encoder") from error
        except (OSError, ValueError, RecursionError) as error:
            raise CheckpointError(str(path), f"can not be read ({error})", _REMEDY) from error
        version = content.get("format_version") if isinstance(content, dict) else None
        if version != FORMAT_VERSION:
            what = f"has format version {version}, and version {FORMAT_VERSION} is read here"
            raise CheckpointError(str(path), what, "use the release that wrote it")
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            found = config_error(error, cls, content)
            raise CheckpointError(str(path), f"{found.where}: {found.what}", _REMEDY) from error

    def write(self, folder: Path) -> None:
        """Write `encoder.json` into `folder`."""
        (folder / FILE_NAME).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def base_location(self, folder: Path) -> str:
        """`base` as it can be loaded, for a manifest that was read from `folder`."""
        assert self.base is not None
        return str((folder / self.base).resolve()) if self.base.startswith(".") else self.base
