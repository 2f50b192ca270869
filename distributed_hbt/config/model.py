"""The encoder: which backbone, how text goes in, how an embedding comes out."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from distributed_hbt.config.base import RunPath, Section

ENCODER_MODEL_TYPES = frozenset({"bert", "roberta", "xlm-roberta", "distilbert", "electra", "modernbert"})


class TrainTokenizer(Section):
    """Train a byte-level BPE tokenizer on the training texts."""

    vocab_size: int = Field(default=8000, ge=300)
    """Tokens, special ones included."""


class TokenizerConfig(Section):
    """A tokenizer trained on the spot, instead of a hub id or folder."""

    train: TrainTokenizer


class LoraConfig(Section):
    """Low-rank adapters; the base model's weights stay frozen."""

    rank: int = Field(default=16, ge=1)
    """Rank of the update."""
    alpha: float = Field(default=32.0, gt=0)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapter's first matrix."""
    target_modules: str | tuple[str, ...] = "all-linear"
    """`all-linear`, or names of modules."""
    layers: tuple[int, int] | None = None
    """Half-open range of layers that get adapters, [first, stop]; null for all."""

    @model_validator(mode="after")
    def _layers_are_a_range(self) -> Self:
        if self.layers is not None and not 0 <= self.layers[0] < self.layers[1]:
            raise ValueError(f"layers {list(self.layers)} is no range; give [first, stop] with first < stop")
        return self


class ModelConfig(Section):
    """`base` loads a pretrained model; `architecture` starts one from random weights."""

    base: RunPath | None = None
    """Hub id or folder of a Hugging Face model."""
    revision: str | None = None
    """Commit, tag or branch of a hub model."""
    architecture: dict[str, Any] | None = None
    """A Hugging Face configuration (`model_type` and its fields) for random initialisation."""
    tokenizer: RunPath | TokenizerConfig | None = None
    """Hub id, folder, or {train: {vocab_size: n}}; default: the base's."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the weights while training; bfloat16 keeps float32 master weights."""
    pooling: Literal["last_token", "mean", "cls"] = "last_token"
    """Which hidden state becomes the embedding."""
    attention: Literal["causal", "bidirectional"] = "causal"
    """causal: a token sees those before it; bidirectional: all."""
    attention_implementation: Literal["sdpa", "eager", "flash_attention_2", "torch_varlen"] = "sdpa"
    """The backbone's attention kernel. torch_varlen is torch's own for `padding_free`, on NVIDIA GPUs;
    flash_attention_2 needs the package flash-attn; sdpa runs everywhere."""
    padding_free: bool = False
    """Encode the texts of a chunk one after the other in a single row, without padding; sdpa then pads them
    inside its attention alone. Evaluation, which sorts texts by length, pads them whatever is set here."""
    padding_side: Literal["left", "right"] = "right"
    """Where shorter texts are filled up."""
    append_eos: bool = True
    """End every text with the tokenizer's EOS, also when it was truncated."""
    normalize: bool = True
    """Scale embeddings to unit length, so that the inner product is the cosine."""
    matryoshka_dimensions: tuple[int, ...] = ()
    """Prefix lengths of the embedding that are trained too (the full length always is)."""
    query_prompt: str = "Query: "
    """Stands before every query."""
    passage_prompt: str = "Passage: "
    """Stands before every passage."""
    max_query_length: int = Field(default=64, ge=2)
    """Tokens, prompt and EOS included."""
    max_passage_length: int = Field(default=256, ge=2)
    """Tokens, prompt and EOS included."""
    trust_remote_code: bool = False
    """Always false: code that comes with a model is never run. (Older run files name it.)"""
    lora: LoraConfig | None = None
    """Adapters; null for full fine-tuning."""

    @property
    def padded_implementation(self) -> Literal["sdpa", "eager", "flash_attention_2"]:
        """The attention kernel for padded texts, with which transformers builds the backbone."""
        kernel = self.attention_implementation
        return "sdpa" if kernel == "torch_varlen" else kernel

    @field_validator("trust_remote_code")
    @classmethod
    def _no_remote_code(cls, value: bool) -> bool:
        if value:
            raise ValueError("code that comes with a model is never run; use a family that transformers has")
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.base is None) == (self.architecture is None):
            raise ValueError(
                "exactly one of base and architecture is needed; set one and leave out the other"
            )
        if self.architecture is not None:
            if not isinstance(self.architecture.get("model_type"), str):
                raise ValueError("architecture has no model_type; name one, for example model_type: qwen3")
            if self.tokenizer is None:
                raise ValueError("architecture comes without a tokenizer; set model.tokenizer")
            if self.architecture["model_type"] in ENCODER_MODEL_TYPES and self.attention == "causal":
                kind = self.architecture["model_type"]
                raise ValueError(f"attention: causal does not fit a {kind}; set attention: bidirectional")
        return self

    @model_validator(mode="after")
    def _first_token_sees_the_text(self) -> Self:
        if self.pooling == "cls" and self.attention == "causal":
            raise ValueError(
                "pooling: cls takes the first token, which sees no other under attention: causal; "
                "set attention: bidirectional, or pooling: last_token"
            )
        return self

    @model_validator(mode="after")
    def _attention_kernel(self) -> Self:
        kernel = self.attention_implementation
        if self.padding_free and kernel == "eager":
            raise ValueError("padding_free has no attention_implementation eager; set sdpa or torch_varlen")
        if self.padding_free and self.padding_side == "left":
            raise ValueError("padding_free has no padding_side left; leave padding_side out")
        if not self.padding_free and kernel == "torch_varlen":
            raise ValueError(
                "attention_implementation torch_varlen takes no padding; set padding_free: true, or sdpa"
            )
        if kernel in ("flash_attention_2", "torch_varlen") and self.dtype == "float32":
            raise ValueError(
                f"attention_implementation {kernel} has no float32; set dtype: bfloat16, or "
                "attention_implementation: sdpa"
            )
        return self

    @model_validator(mode="after")
    def _matryoshka(self) -> Self:
        if any(d < 1 for d in self.matryoshka_dimensions):
            raise ValueError("matryoshka_dimensions must be positive; remove those below 1")
        if len(set(self.matryoshka_dimensions)) != len(self.matryoshka_dimensions):
            raise ValueError("matryoshka_dimensions repeats a value; name each once")
        return self
