"""Secrets in addresses, tags and messages, hidden from whoever reads them."""

import logging
import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_USER = r"(?P<user>\b[a-z][a-z0-9+.-]*://[^/@:?#\s]*)"
_PASSWORDS = (
    # To the last @: a database's password may hold @ and / as they are.
    re.compile(rf"(?=(?:postgres|mysql|mariadb|mssql|oracle|redis|mongodb)){_USER}:[^\s]*@", re.IGNORECASE),
    # Of other addresses, digits before a slash are a port, and an @ behind it is part of the path.
    re.compile(rf"{_USER}:(?!\d+(?:[/?#]|$))[^\s]*@", re.IGNORECASE),
)
_LONE_TOKEN = re.compile(r"(?P<scheme>\bhttps?://)[^/@:?#\s]+@", re.IGNORECASE)
_NAME = (
    r"(?:(?:ssl)?password|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?|private[_-]?key"
    r"|credentials?|auth|authorization|signature|sig)"
)
_NAMED = re.compile(rf"(?:^|.*[^A-Za-z0-9]){_NAME}(?:[^A-Za-z0-9].*)?", re.IGNORECASE | re.DOTALL)
_ASSIGNED = re.compile(rf"(?P<name>(?:\b|[?&;_.-]){_NAME}=)(?!{re.escape(MASK)})[^\s&;'\",)]+", re.IGNORECASE)
_TOKENS = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|sk-[\w-]{20,}|xox[abeprs]-[\w-]{10,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_BEARER = re.compile(
    r"(?P<name>\b(?:Authorization: *\w+|Bearer) )(?=\S*\d)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE
)


def masked(text: str) -> str:
    """`text` with `***` for passwords in addresses, `secret=...`, and tokens of known forms."""
    if "://" in text:
        for pattern in _PASSWORDS:
            text = pattern.sub(rf"\g<user>:{MASK}@", text)
        text = _LONE_TOKEN.sub(rf"\g<scheme>{MASK}@", text)
    if "=" in text:
        text = _ASSIGNED.sub(rf"\g<name>{MASK}", text)
    return _BEARER.sub(rf"\g<name>{MASK}", _TOKENS.sub(MASK, text))


def masked_values(content: Any) -> Any:
    """Plain content (of YAML or JSON) with its texts masked; a text under the name of a secret, such as
    `api_key`, becomes `***` as a whole."""
    if isinstance(content, Mapping):
        return {key: _of_key(str(key), value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [masked_values(item) for item in content]
    return masked(content) if isinstance(content, str) else content


def without_credentials(address: str) -> str:
    """`address` without what `masked` hides: what a file may keep, while the environment has the rest."""
    plain = re.sub(r"^(https?://)[^/?#]*@", r"\1", masked(address), flags=re.IGNORECASE)
    plain = plain.replace(f":{MASK}@", "@", 1)
    path, question, query = plain.partition("?")
    kept = "&".join(part for part in query.split("&") if not part.endswith(f"={MASK}"))
    return f"{path}{question if kept else ''}{kept}"


def connectable(address: str) -> str:
    """`address`, for connecting: of one that was masked, what the environment has to give is left out."""
    return without_credentials(address) if MASK in address else address


class MaskedLines(logging.Formatter):
    """Log lines, and the tracebacks below them, with secrets masked."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging.Formatter does."""
        return masked(super().format(record))


def _of_key(key: str, value: Any) -> Any:
    if isinstance(value, str) and value and _NAMED.fullmatch(key):
        return MASK
    return masked_values(value)
