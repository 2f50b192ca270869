"""From texts to token ids, the same way in training, evaluation and mining."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from distributed_hbt.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

_TEXTS_AT_ONCE = 4096  # bounds what the tokenizer holds besides the ids


class TextSettings(Protocol):
    """What decides the tokens of a text: ModelConfig and EncoderManifest have it."""

    @property
    def pooling(self) -> str: ...
    @property
    def padding_side(self) -> str: ...
    @property
    def append_eos(self) -> bool: ...
    @property
    def query_prompt(self) -> str: ...
    @property
    def passage_prompt(self) -> str: ...
    @property
    def max_query_length(self) -> int: ...
    @property
    def max_passage_length(self) -> int: ...


class TextEncoder:
    """Prompt + text -> token ids, between the tokenizer's own frame.

    A text becomes: what the tokenizer's template puts before a text (BOS, CLS), the tokens of prompt and
    text, and the end. With `append_eos` the end is what the template puts after a text, else the
    tokenizer's EOS, else its SEP; without `append_eos` nothing is put there. The maximum lengths count
    everything, and truncation takes from the text, never from the end. With CLS pooling and a template
    that puts nothing first, the tokenizer's CLS (else BOS) is put there.

    Prompt and text are plain text: a string such as `</s>` in them never becomes the special token. A text
    without any token becomes a single EOS.
    """

    def __init__(self, tokenizer: Any, settings: TextSettings) -> None:
        """Raises ConfigError where the tokenizer lacks a token, or a prompt leaves no room for text."""
        from tokenizers import Tokenizer

        if tokenizer.pad_token_id is None:
            raise ConfigError("model.tokenizer", "has no padding token", "load it with load_tokenizer")
        self.tokenizer = tokenizer
        self.settings = settings
        self._pad_id = int(tokenizer.pad_token_id)
        # A copy: the caller's tokenizer may be set to truncate or to pad at any time.
        self._tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        self._special = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        self._start, self._end = _frame(tokenizer, self._tokenizer, settings)
        self._if_empty = self._end or (_end_token(tokenizer),)
        self._check_room("model.max_query_length", settings.query_prompt, settings.max_query_length)
        self._check_room("model.max_passage_length", settings.passage_prompt, settings.max_passage_length)

    def queries(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of every query; raises DataError for text that is not Unicode."""
        return list(self._encode(self.settings.query_prompt, texts, self.settings.max_query_length))

    def passages(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of every passage; raises DataError for text that is not Unicode."""
        return list(self._encode(self.settings.passage_prompt, texts, self.settings.max_passage_length))

    def pad(self, token_lists: Sequence[Sequence[int]]) -> "tuple[Tensor, Tensor]":
        """input_ids_BL and attention_mask_BL (1: real), int64, as long as the longest list."""
        import numpy as np
        import torch

        length_B1 = np.array([[len(tokens)] for tokens in token_lists])
        position_L = np.arange(length_B1.max())
        if self.settings.padding_side == "left":
            position_L = position_L[::-1]
        real_BL = position_L < length_B1
        input_ids_BL = np.full(real_BL.shape, self._pad_id, dtype=np.int64)
        input_ids_BL[real_BL] = np.fromiter(chain.from_iterable(token_lists), np.int64, length_B1.sum())
        return torch.from_numpy(input_ids_BL), torch.from_numpy(real_BL.astype(np.int64))

    @property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tokens before and after every text."""
        return self._start, self._end

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that decides the tokens: tokenizer.json, frame, prompts, lengths."""
        content = {
            "tokenizer": json.loads(self._tokenizer.to_str()),
            "frame": [self._start, self._end, self._if_empty, sorted(self._special)],
            "prompts": [self.settings.query_prompt, self.settings.passage_prompt],
            "lengths": [self.settings.max_query_length, self.settings.max_passage_length],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _encode(self, prompt: str, texts: Sequence[str], max_length: int) -> Iterator[list[int]]:
        room = max_length - len(self._start) - len(self._end)
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            batch = [prompt + text for text in texts[first : first + _TEXTS_AT_ONCE]]
            for tokens in self._tokens(batch):
                yield [*self._start, *tokens[:room], *self._end] or list(self._if_empty)

    def _tokens(self, texts: list[str]) -> Iterator[list[int]]:
        for text in texts:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                what = f"holds half of a surrogate pair, which is not Unicode text: {text[:60]!r}"
                raise DataError("text", what, "repair the text where it comes from") from error
        for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            tokens = encoding.ids
            # A vocabulary that lists `</s>` among its pieces (Unigram) can still find it in a text.
            if not self._special.isdisjoint(tokens):
                tokens = [token for token in tokens if token not in self._special]
            yield tokens

    def _check_room(self, where: str, prompt: str, max_length: int) -> None:
        needed = len(self._start) + len(next(self._tokens([prompt]))) + len(self._end) + 1
        if max_length < needed:
            what = f"{max_length} leaves no room for text beside the prompt and special tokens"
            raise ConfigError(where, what, f"set it to {needed} or more, or shorten the prompt")


def _frame(tokenizer: Any, backend: Any, settings: TextSettings) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The tokens before and after a text."""
    probe = backend.encode("a", add_special_tokens=True)
    added = probe.special_tokens_mask
    first = added.index(0) if 0 in added else len(added)
    stop = len(added) - added[::-1].index(0) if 0 in added else len(added)
    start, end = tuple(probe.ids[:first]), tuple(probe.ids[stop:])
    if settings.pooling == "cls" and not start:
        token = tokenizer.cls_token_id if tokenizer.cls_token_id is not None else tokenizer.bos_token_id
        if token is None:
            what = "cls needs a CLS or BOS token, and the tokenizer has neither"
            raise ConfigError("model.pooling", what, "use mean or last_token")
        start = (int(token),)
    if not settings.append_eos:
        return start, ()
    return start, end or (_end_token(tokenizer),)


def _end_token(tokenizer: Any) -> int:
    for token in (tokenizer.eos_token_id, tokenizer.sep_token_id):
        if token is not None:
            return int(token)
    what = "the tokenizer has neither an EOS nor a SEP token to end a text with"
    raise ConfigError("model.append_eos", what, "use a tokenizer that has one")
