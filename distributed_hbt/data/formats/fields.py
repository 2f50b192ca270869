"""Checked access to the fields of a row; every fault is a RowFault whose text says what is wrong."""

import math
import re
from collections.abc import Mapping
from typing import Any

from distributed_hbt.data.example import Passage
from distributed_hbt.languages import LANGUAGE_NAME, language_code

_LANGUAGE = re.compile(LANGUAGE_NAME.replace("$", r"\Z"))


class RowFault(Exception):  # noqa: N818 (no error of its own: it becomes a BadRow)
    """This row gives no example; the readers turn it into a BadRow."""


def present(record: Mapping[str, Any], name: str) -> Any:
    """The value of a field that must be there and not null."""
    if record.get(name) is None:
        raise RowFault(f"field {name!r} is missing" if name not in record else f"field {name!r} is null")
    return record[name]


def text(record: Mapping[str, Any], name: str) -> str:
    """A text that is not blank."""
    return filled(present(record, name), f"field {name!r}")


def filled(value: object, what: str) -> str:
    """A text that is not blank and that has a UTF-8 form."""
    checked = encodable(value, what)
    if not checked.strip():
        raise RowFault(f"{what} is empty")
    return checked


def encodable(value: object, what: str) -> str:
    """A text that has a UTF-8 form, which a JSON escape of half a surrogate pair has not."""
    if not isinstance(value, str):
        raise RowFault(f"{what} is {_kind(value)}, not a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RowFault(f"{what} is not valid Unicode") from error
    return value


def identifier(record: Mapping[str, Any], name: str) -> str:
    """An id: a text that is not blank, or a whole number, which becomes its digits."""
    return as_identifier(present(record, name), f"field {name!r}")


def as_identifier(value: object, what: str) -> str:
    """See `identifier`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return filled(value, what)


def language(record: Mapping[str, Any], name: str) -> str:
    """The code of a language; what it is in a row becomes the name of files."""
    given = text(record, name)
    if not _LANGUAGE.match(given):
        raise RowFault(f"field {name!r} is {given[:80]!r}, no code of a language")
    return language_code(given)


def items(record: Mapping[str, Any], name: str, *, optional: bool = False) -> list[Any]:
    """A list; an optional one may be missing or null."""
    if optional and record.get(name) is None:
        return []
    value = present(record, name)
    if not isinstance(value, list):
        raise RowFault(f"field {name!r} is {_kind(value)}, not a list")
    return value


def number(value: object, what: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RowFault(f"{what} is {_kind(value)}, not a number")
    if not math.isfinite(value):
        raise RowFault(f"{what} is {value}, not a finite number")
    return float(value)


def positives(record: Mapping[str, Any], name: str) -> tuple[Passage, ...]:
    """Passages of which there must be one."""
    found = passages(record, name)
    if not found:
        raise RowFault(f"field {name!r} holds no positive passage")
    return found


def passages(record: Mapping[str, Any], name: str, *, optional: bool = False) -> tuple[Passage, ...]:
    """A list of {docid, title, text[, score]}; docid and title may be missing or null."""
    return tuple(
        _passage(item, f"{name}.{i}") for i, item in enumerate(items(record, name, optional=optional))
    )


def _passage(item: object, what: str) -> Passage:
    if not isinstance(item, dict):
        raise RowFault(f"{what} is {_kind(item)}, not an object with a text")
    if item.get("text") is None:
        raise RowFault(f"{what} has no text")
    docid, title, score = item.get("docid"), item.get("title"), item.get("score")
    return Passage(
        docid="" if docid is None or docid == "" else as_identifier(docid, f"{what}.docid"),
        title="" if title is None else encodable(title, f"{what}.title"),
        text=filled(item["text"], f"{what}.text"),
        score=None if score is None else number(score, f"{what}.score"),
    )


def _kind(value: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")
