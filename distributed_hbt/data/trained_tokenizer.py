"""The tokenizer of a run: loaded, or trained once on the training texts."""

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from distributed_hbt.config.data import DataConfig
from distributed_hbt.config.model import TokenizerConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.bad_rows import BadRows
from distributed_hbt.data.build_once import build_once
from distributed_hbt.data.check import good_examples
from distributed_hbt.data.store.digest import digest
from distributed_hbt.data.store.prepare import check_unchanged, data_identity
from distributed_hbt.models.tokenizer import load_tokenizer, train_tokenizer


def prepare_tokenizer(config: RunConfig, folder: Path) -> Any:
    """The tokenizer that `config.model` names (a `PreTrainedTokenizerFast`), trained where it says so.

    A trained one is kept below `folder`, named by content of the data and size; of several processes one
    trains and the others wait. Raises ConfigError where it can not be loaded, DataError for bad data.
    """
    model = config.model
    if isinstance(model.tokenizer, TokenizerConfig):
        return _trained(config.data, model.tokenizer.train.vocab_size, folder)
    if model.tokenizer is not None:
        return load_tokenizer(model.tokenizer)
    assert model.base is not None  # the configuration refuses an architecture without a tokenizer
    return load_tokenizer(model.base, revision=model.revision)


def training_texts(data: DataConfig) -> Iterator[str]:
    """Every distinct query and positive passage, in the order of the data.

    Memory: 64 bits and their set entry a text. Raises DataError as the readers do.
    """
    seen: set[bytes] = set()
    for _, example in good_examples(data, BadRows()):
        for text in (example.query, *(passage.full_text for passage in example.positives)):
            key = blake2b(text.encode(), digest_size=8).digest()
            if key not in seen:
                seen.add(key)
                yield text


def _trained(data: DataConfig, vocab_size: int, folder: Path) -> Any:
    identity = {**data_identity(data, folder), "vocab_size": vocab_size}
    target = folder / f"tokenizer-{digest(identity)}"

    def build(partial: Path) -> None:
        tokenizer = train_tokenizer(training_texts(data), vocab_size)
        tokenizer.save_pretrained(str(partial))
        check_unchanged(data, identity, folder)

    build_once(target, build)
    return load_tokenizer(str(target))
