"""Tokenizers: trained on the spot, or loaded from a folder or the hub."""

from collections.abc import Iterable
from typing import Any

from distributed_hbt.errors import ConfigError, one_line

PAD, EOS, CLS = "<pad>", "</s>", "<s>"
SPECIAL_TOKENS = (CLS, PAD, EOS)
"""Ids 0, 1, 2: the ids that XLM-R configurations take for granted."""

_WORDS = r" ?[\p{L}\p{M}]+| ?\p{N}{1,3}| ?[^\s\p{L}\p{M}\p{N}]+|\s+"
"""Letters stay with their combining marks (Indic scripts, Arabic); numbers are cut after three digits."""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """A byte-level BPE tokenizer (NFC) of at most `vocab_size` tokens, with `<s>`, `<pad>` and `</s>`.

    The same texts in the same order give the same tokenizer. Every byte has a token, so no text is
    unknown. Returns a `PreTrainedTokenizerFast`; it adds no special token by itself (see `TextEncoder`).
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=CLS, cls_token=CLS, eos_token=EOS, pad_token=PAD
    )


def load_tokenizer(name: str, *, revision: str | None = None) -> Any:
    """The tokenizer of a folder or hub id, with a padding token.

    A tokenizer without a padding token pads with its EOS: padded positions are told from real ones by
    the attention mask alone, never by their token.

    Raises:
        ConfigError: it can not be loaded, is not a fast tokenizer, or has neither padding nor EOS token.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:  # the readers behind it raise anything, a bare Exception among them
        what = f"no tokenizer can be loaded from {name} ({one_line(error)})"
        raise ConfigError("model.tokenizer", what, "check the folder or hub id") from error
    return padded_tokenizer(tokenizer, name)


def padded_tokenizer(tokenizer: Any, name: str) -> Any:
    """`tokenizer` with a padding token, by the rule of `load_tokenizer`; the same errors."""
    if not tokenizer.is_fast:
        what = f"{name} has no tokenizer.json, only a slow tokenizer"
        raise ConfigError("model.tokenizer", what, "convert it to a fast tokenizer")
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            what = f"{name} has neither a padding nor an EOS token"
            raise ConfigError("model.tokenizer", what, "use a tokenizer that has one of them")
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer
