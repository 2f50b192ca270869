"""Tevatron v2: rows of ids and a corpus."""

from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.config.data import TevatronV2Source
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.corpus import corpus_entries, passage
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import Record, examples, records
from distributed_hbt.data.formats.text_index import TextIndex
from distributed_hbt.languages import language_code

_POSITIVES, _NEGATIVES = "positive_document_ids", "negative_document_ids"


def read(source: TevatronV2Source) -> Iterator[Example | BadRow]:
    """Rows query_id, query_text, positive_document_ids[, negative_document_ids]; corpus docid, text, title.

    The rows are read twice: first for the ids that they refer to, then, with their passages at hand,
    as examples. The corpus is read once.
    """
    paths = files.expand(source.path)
    with TextIndex() as corpus:
        corpus.want(_referenced(paths))
        entries = corpus_entries(files.expand(source.corpus), "docid", ("text", "document_text"))
        yield from corpus.fill(entries)

        def example(record: Record, where: str) -> Example:
            return _example(record, where, source, corpus)

        yield from examples(paths, example)


def _referenced(paths: list[Path]) -> Iterator[str]:
    for _, record in records(paths):
        if isinstance(record, BadRow):
            continue  # the second reading reports it
        try:
            found = _identifiers(record, _POSITIVES) + _identifiers(record, _NEGATIVES)
        except RowFault:
            continue  # as above
        yield from found


def _identifiers(record: Record, name: str) -> list[str]:
    listed = fields.items(record, name, optional=name == _NEGATIVES)
    return [fields.as_identifier(item, f"{name}.{i}") for i, item in enumerate(listed)]


def _example(record: Record, where: str, source: TevatronV2Source, corpus: TextIndex) -> Example:
    positives = _identifiers(record, _POSITIVES)
    if not positives:
        raise RowFault(f"field {_POSITIVES!r} holds no positive passage")
    return Example(
        group_id=fields.identifier(record, "query_id"),
        query=fields.text(record, "query_text"),
        query_language=language_code(source.query_language),
        passage_language=language_code(source.passage_language),
        positives=tuple(passage(corpus, docid) for docid in positives),
        negatives=tuple(passage(corpus, docid) for docid in _identifiers(record, _NEGATIVES)),
        where=where,
    )
