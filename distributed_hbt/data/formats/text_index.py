"""Texts by id, on disk.

Corpora are larger than memory (MIRACL English: 33 million passages; mMARCO: 8.8 million a language), and
the ids that training rows refer to may be most of them. So neither is held: both live in a temporary
SQLite file (under TMPDIR), of which only a fixed page cache is in memory.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from distributed_hbt.data.example import BadRow

_AT_ONCE = 1000  # rows handed to SQLite together
_CACHE_KIB = 65536


@dataclass(frozen=True, slots=True)
class Entry:
    """A text and its id; `where` is its file:line, which the index does not keep."""

    identifier: str
    title: str
    text: str
    where: str = ""


class TextIndex:
    """Either name the ids that are `wanted` and then `fill` them, or `add` every text there is."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="hbt-texts-")
        # A generator that holds the index may be driven from another thread than the one it began in.
        path = str(Path(self._folder.name) / "texts.sqlite")
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{_CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE texts (id TEXT PRIMARY KEY, title TEXT, text TEXT)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()
        self._folder.cleanup()

    def want(self, identifiers: Iterable[str]) -> None:
        """Note ids that `fill` is to keep."""
        self._many("INSERT OR IGNORE INTO texts (id) VALUES (?)", ((i,) for i in identifiers))

    def fill(self, entries: Iterable[Entry | BadRow]) -> Iterator[BadRow]:
        """Keep the texts of wanted ids (of two with one id the first); passes bad rows through."""
        statement = "UPDATE texts SET title = ?, text = ? WHERE id = ? AND text IS NULL"
        return self._keep(statement, entries)

    def add(self, entries: Iterable[Entry | BadRow]) -> Iterator[BadRow]:
        """Keep every text (of two with one id the first); passes bad rows through."""
        return self._keep("INSERT OR IGNORE INTO texts (title, text, id) VALUES (?, ?, ?)", entries)

    def get(self, identifier: str) -> Entry | None:
        """The text of an id; None where there is none."""
        query = "SELECT title, text FROM texts WHERE id = ? AND text IS NOT NULL"
        row = self._database.execute(query, (identifier,)).fetchone()
        return None if row is None else Entry(identifier, row[0], row[1])

    def _keep(self, statement: str, entries: Iterable[Entry | BadRow]) -> Iterator[BadRow]:
        remaining = iter(entries)
        while batch := list(islice(remaining, _AT_ONCE)):
            kept = ((e.title, e.text, e.identifier) for e in batch if isinstance(e, Entry))
            self._many(statement, kept)
            yield from (entry for entry in batch if isinstance(entry, BadRow))

    def _many(self, statement: str, rows: Iterable[tuple[str, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")
