"""Code-switched queries (arXiv 2305.05295): words replaced through bilingual lexicons."""

import random
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b

from distributed_hbt.config.data import CodeSwitchingConfig
from distributed_hbt.data import files
from distributed_hbt.data.example import Example
from distributed_hbt.errors import DataError
from distributed_hbt.languages import language_code

Lexicon = Mapping[str, tuple[str, ...]]
"""Word in lower case -> its translations, in the order of the file."""


class CodeSwitching:
    """Switches queries: a function of the seed and the query's text, whatever the order of the rows."""

    def __init__(self, config: CodeSwitchingConfig) -> None:
        """Reads the lexicons. Raises DataError for one that is missing, empty or has a line of other form."""
        self._config = config
        self._language = language_code(config.source_language)
        self._lexicons = [read_lexicon(path) for _, path in sorted(config.lexicons.items())]

    def switched(self, row: Example) -> Example:
        """The row with its query switched, which stays of its language; others are given back as they are."""
        if row.query_language != self._language:
            return row
        return replace(row, query=self.text(row.query))

    def text(self, text: str) -> str:
        """Words are what stands between blanks, without the punctuation around it; that stays."""
        draws = random.Random(_key(self._config.seed, text))
        lexicons = self._lexicons
        if self._config.draw == "query":
            lexicons = [lexicons[int(draws.random() * len(lexicons))]]
        parts = re.split(r"(\s+)", text)
        return "".join(self._word(part, lexicons, draws) for part in parts)

    def _word(self, part: str, lexicons: list[Lexicon], draws: random.Random) -> str:
        chosen, language, translation = draws.random(), draws.random(), draws.random()
        before, word, after = _without_punctuation(part)
        known = [lexicon[word.casefold()] for lexicon in lexicons if word.casefold() in lexicon]
        if not known or chosen >= self._config.probability:
            return part
        translations = known[int(language * len(known))]
        return before + translations[int(translation * len(translations))] + after


def read_lexicon(path: str) -> Lexicon:
    """The lexicon in the files that a path names; see `CodeSwitching`."""
    lexicon: dict[str, dict[str, None]] = {}
    for file in files.expand(path):
        for number, line in files.lines(file):
            if not line.strip():
                continue
            parts = [part.strip() for part in line.split("\t")] if "\t" in line else line.split()
            if len(parts) != 2 or not all(parts):
                what = f"holds {line.strip()!r}, not a word and a translation"
                raise DataError(f"{file}:{number}", what, "write them apart by one tab, or one blank")
            lexicon.setdefault(parts[0].casefold(), {})[parts[1]] = None
    if not lexicon:
        raise DataError(path, "the lexicon is empty", "give one that holds words, or leave it out")
    return {word: tuple(translations) for word, translations in lexicon.items()}


def _without_punctuation(part: str) -> tuple[str, str, str]:
    """What stands before a word, the word, what stands after it."""
    first, stop = 0, len(part)
    while first < stop and _is_punctuation(part[first]):
        first += 1
    while stop > first and _is_punctuation(part[stop - 1]):
        stop -= 1
    return part[:first], part[first:stop], part[stop:]


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _key(seed: int, text: str) -> int:
    return int.from_bytes(blake2b(f"{seed}\n{text}".encode(), digest_size=8).digest(), "little")
