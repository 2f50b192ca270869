"""Sources -> examples: the reader of each format, and group ids that never meet by accident."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from distributed_hbt.config.data import DataConfig, Source
from distributed_hbt.data.code_switching import CodeSwitching
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.formats import (
    afriqa,
    beir,
    columns,
    flagembedding,
    hbt_jsonl,
    miracl,
    mmarco,
    parallel,
    squad,
    tevatron,
    tevatron_v2,
)
from distributed_hbt.data.group_share import of_share
from distributed_hbt.errors import DataError

Row = Example | BadRow

_READERS: Mapping[str, Callable[[Any], Iterator[Row]]] = MappingProxyType(
    {
        "hbt_jsonl": hbt_jsonl.read,
        "tevatron": tevatron.read,
        "tevatron_v2": tevatron_v2.read,
        "miracl": miracl.read,
        "flagembedding": flagembedding.read,
        "beir": beir.read,
        "columns": columns.read,
        "squad": squad.read,
        "afriqa": afriqa.read,
        "mmarco": mmarco.read,
        "parallel": parallel.read,
    }
)
_SHARED_NAMESPACES = ("hbt_jsonl", "squad")


def read_source(source: Source, position: int) -> Iterator[Row]:
    """The rows of a source as a stream, group ids as `<namespace>/<id>`; `position` is its place in
    `data.sources`.

    Raises DataError for files that are missing, damaged or not of the format, and for a source without
    any row.
    """
    namespace = source.group_namespace or (
        source.format if source.format in _SHARED_NAMESPACES else f"{source.format}-{position}"
    )
    empty = True
    for row in read_rows(source):
        empty = False
        if isinstance(row, Example):
            yield replace(row, group_id=f"{namespace}/{row.group_id}")
        else:
            yield row
    if empty:
        where = f"data.sources.{position}"
        remedy = "check its paths and ranges" if source.share == 1 else "check its paths, ranges and share"
        raise DataError(where, f"the {source.format} source has no rows", remedy)


def read_rows(source: Source) -> Iterator[Row]:
    """The rows of a source, as many as its `share` asks for, with the group ids that the files have."""
    return of_share(_READERS[source.format](source), source.share)


def read_examples(config: DataConfig) -> Iterator[tuple[int, Row]]:
    """(source position, row) of all sources, one source after the other; queries switched where asked for."""
    switching = None if config.code_switching is None else CodeSwitching(config.code_switching)
    for position, source in enumerate(config.sources):
        for row in read_source(source, position):
            if switching is None or isinstance(row, BadRow):
                yield position, row
            else:
                yield position, switching.switched(row)
