"""The tokenizer of an exported folder: by itself it does what `TextEncoder` does.

In a checkpoint, what stands before and after a text, and how long it may be, is the manifest's to say. Other
libraries know only the tokenizer's own files, so that it has to stand there.
"""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distributed_hbt.errors import CheckpointError, one_line
from distributed_hbt.models.text import TextEncoder

_CONFIG = "tokenizer_config.json"
_LEFT_OUT = ("add_bos_token", "add_eos_token", "is_local", "local_files_only")
"""With the first two, transformers makes a frame of its own; the others are of how it was read here."""
_PROBES = (
    "The river rises in the mountains.",
    " Der Fluss\tentspringt in den Bergen,  12345 m hoch\n",
    "Река берёт начало в горах и впадает в море.",
    "नदी पहाड़ों से निकलती है",
    "แม่น้ำไหลจากภูเขาลงสู่ทะเล",
    "这条河发源于山区，流入大海。",
)
_LONG = 2000
"""Repetitions of a word: longer than any maximum length that is worth a test."""


def framed_tokenizer(texts: TextEncoder) -> Any:
    """The tokenizer of `texts`, with the frame that texts get as its own."""
    from tokenizers import Tokenizer, processors

    tokenizer = copy.deepcopy(texts.tokenizer)
    backend: Tokenizer = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    start, end = texts.frame
    names = {token: f"T{place}" for place, token in enumerate(dict.fromkeys([*start, *end]))}
    frame = ([names[token] for token in start], [names[token] for token in end])
    backend.post_processor = processors.TemplateProcessing(
        single=[*frame[0], "$A", *frame[1]],
        pair=[*frame[0], "$A", *frame[1], "$B:1", *(f"{name}:1" for name in frame[1])],
        special_tokens=[
            {"id": name, "ids": [token], "tokens": [tokenizer.convert_ids_to_tokens(token)]}
            for token, name in names.items()
        ],
    )
    return tokenizer


def settle_tokenizer(folder: Path, max_length: int) -> None:
    """Write into tokenizer_config.json what `save_pretrained` does not: text stays text, and is cut and
    filled up on the right."""
    path = folder / _CONFIG
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = {key: value for key, value in content.items() if key not in _LEFT_OUT}
    settled = {
        "model_max_length": max_length,
        "padding_side": "right",
        "split_special_tokens": True,
        # Not the family's class, which would rebuild what stands in tokenizer.json.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "truncation_side": "right",
    }
    path.write_text(json.dumps({**kept, **settled}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def check_tokens(folder: Path, texts: TextEncoder) -> None:
    """Whether AutoTokenizer makes the same tokens of a few texts, one that is too long among them.

    Raises:
        CheckpointError: it does not, or can not be read: the export would give other embeddings.
    """
    from transformers import AutoTokenizer

    settings = texts.settings
    probes = [*_PROBES, "word " * _LONG]
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
        for prompt, length, expected in (
            (settings.query_prompt, settings.max_query_length, texts.queries(probes)),
            (settings.passage_prompt, settings.max_passage_length, texts.passages(probes)),
        ):
            given = tokenizer([prompt + text for text in probes], truncation=True, max_length=length)
            _compare(probes, given["input_ids"], expected)
    except CheckpointError:
        raise
    except Exception as error:  # the readers behind it raise anything
        raise _other_tokens(f"({one_line(error)})") from error


def _compare(
    probes: Sequence[str], given: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]
) -> None:
    for text, one, other in zip(probes, given, expected, strict=True):
        if list(one) != list(other):
            raise _other_tokens(f"of {' '.join(text.split())[:40]!r}")


def _other_tokens(what: str) -> CheckpointError:
    return CheckpointError(
        "tokenizer",
        f"transformers' AutoTokenizer makes other tokens than the encoder was trained with {what}",
        "use the checkpoint with load_encoder; this tokenizer can not be exported for this model family",
    )
