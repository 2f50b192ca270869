"""Tevatron v1 rows, which are also MIRACL's training rows."""

from collections.abc import Iterator

from distributed_hbt.config.data import TevatronSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.records import Record, examples
from distributed_hbt.languages import language_code


def read(source: TevatronSource) -> Iterator[Example | BadRow]:
    """JSON lines or Parquet: query_id, query, positive_passages[, negative_passages]."""

    def example(record: Record, where: str) -> Example:
        return Example(
            group_id=fields.identifier(record, "query_id"),
            query=fields.text(record, "query"),
            query_language=language_code(source.query_language),
            passage_language=language_code(source.passage_language),
            positives=fields.positives(record, "positive_passages"),
            negatives=fields.passages(record, "negative_passages", optional=True),
            where=where,
        )

    return examples(files.expand(source.path), example)
