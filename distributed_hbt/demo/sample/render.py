"""Facts as questions and answer sentences in every language."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from distributed_hbt.demo.sample.facts import Fact
from distributed_hbt.demo.sample.tables import LANGUAGES, read_table
from distributed_hbt.errors import DataError

VARIANTS = 2
"""Patterns a relation has of each kind; a variant is 1 or 2."""

_SLOT = re.compile(r"\{([so])(?:\.(\w+))?\}")


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence, and where in it the object stands, in code points."""

    text: str
    object_start: int
    object_end: int


def question(fact: Fact, language: str, variant: int) -> str:
    """The fact's question in `language`, by pattern 1 or 2."""
    return _render(fact, language, "question", variant).text


def answer(fact: Fact, language: str, variant: int) -> AnswerSentence:
    """The sentence that states the fact in `language`, by pattern 1 or 2."""
    return _render(fact, language, "answer", variant)


def _render(fact: Fact, language: str, kind: Literal["question", "answer"], variant: int) -> AnswerSentence:
    pattern = _patterns()[fact.relation, kind, variant, language]
    text, object_start, object_end, end = "", 0, 0, 0
    for slot in _SLOT.finditer(pattern):
        text += pattern[end : slot.start()]
        end = slot.end()
        filled = _name(fact.subject if slot[1] == "s" else fact.object, language, slot[2])
        if slot[1] == "o":
            object_start, object_end = len(text), len(text) + len(filled)
        text += filled
    text += pattern[end:]
    # A name may open the sentence: "a dog" -> "A dog". One code point stays one in these languages.
    return AnswerSentence(text[0].upper() + text[1:], object_start, object_end)


def _name(entity: str, language: str, form: str | None) -> str:
    forms = _names().get((entity, language))
    if forms is None:
        return entity  # a literal object
    if form not in forms:
        raise DataError(
            "entities.tsv", f"{entity} has no form {form} in {language}", f"write {form}=... into its cell"
        )
    return forms[form]


@cache
def _patterns() -> dict[tuple[str, str, int, str], str]:
    return {
        (row["relation"], row["kind"], int(row["variant"]), language): row[language]
        for row in read_table("patterns")
        for language in LANGUAGES
    }


@cache
def _names() -> dict[tuple[str, str], dict[str | None, str]]:
    return {
        (row["entity"], language): _forms(row[language])
        for row in read_table("entities")
        for language in LANGUAGES
    }


def _forms(cell: str) -> dict[str | None, str]:
    base, *others = cell.split("; ")
    forms: dict[str | None, str] = {None: base}
    for other in others:
        form, text = other.split("=", 1)
        forms[form] = text
    return forms
