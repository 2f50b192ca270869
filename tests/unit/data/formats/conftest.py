"""Small files and what is read from them."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from distributed_hbt.config.data import Source
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.sources import read_rows

Write = Callable[..., str]
Read = Callable[..., list[Example | BadRow]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """write(name, row, row, ...): JSON lines; text and bytes go in as they are; .gz is compressed."""

    def write_file(name: str, *rows: dict[str, Any] | str | bytes) -> str:
        content = b"".join(_line(row) for row in rows)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return str(path)

    return write_file


def _line(row: dict[str, Any] | str | bytes) -> bytes:
    if isinstance(row, dict):
        row = json.dumps(row, ensure_ascii=False) + "\n"
    return row.encode() if isinstance(row, str) else row


@pytest.fixture
def stream() -> Callable[..., Iterator[Example | BadRow]]:
    """stream(format=..., ...): the rows of a source with these settings."""

    def stream_source(**settings: Any) -> Iterator[Example | BadRow]:
        source: Source = TypeAdapter(Source).validate_json(json.dumps(settings))
        return read_rows(source)

    return stream_source


@pytest.fixture
def read(stream: Callable[..., Iterator[Example | BadRow]]) -> Read:
    """read(format=..., ...): all rows of a source."""
    return lambda **settings: list(stream(**settings))
