"""By what a passage is known again: its id, its text with the title, its text alone; 64 bits each."""

import re
import unicodedata
from hashlib import blake2b

from distributed_hbt.data.example import Passage

_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphens, joiners, marks of direction, BOM


def _key(content: str) -> int:
    return int.from_bytes(blake2b(content.encode(), digest_size=8).digest(), "little")


def text_key(text: str) -> int:
    """Equal for texts that differ only in case, spacing, unseen characters or the way that Unicode writes
    them (NFKC)."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _UNSEEN.sub("", text))
    return _key(f"text {' '.join(text.casefold().split())}")


def id_key(doc_id: str) -> int:
    """Of a passage's id, whatever its language."""
    return _key(f"id {doc_id}")


BLANK = text_key("")
"""Of a passage without any text."""


def passage_keys(passage: Passage) -> frozenset[int]:
    """All keys of a passage; one that shares a key with a known positive is that positive.

    The text alone is one, so that a passage whose title is left out elsewhere is known there too.
    """
    keys = {text_key(passage.full_text)}
    if passage.text.strip():
        keys.add(text_key(passage.text))
    if passage.docid:
        keys.add(id_key(passage.docid))
    return frozenset(keys)
