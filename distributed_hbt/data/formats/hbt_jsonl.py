"""The native row: group_id, query, query_language, passage_language, positive and negative passages."""

from collections.abc import Iterator

from distributed_hbt.config.data import HbtJsonlSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.records import Record, examples


def read(source: HbtJsonlSource) -> Iterator[Example | BadRow]:
    """JSON lines or Parquet. `negative_passages` may be missing; other fields are ignored."""
    return examples(files.expand(source.path), _example)


def _example(record: Record, where: str) -> Example:
    return Example(
        group_id=fields.identifier(record, "group_id"),
        query=fields.text(record, "query"),
        query_language=fields.language(record, "query_language"),
        passage_language=fields.language(record, "passage_language"),
        positives=fields.positives(record, "positive_passages"),
        negatives=fields.passages(record, "negative_passages", optional=True),
        where=where,
    )
