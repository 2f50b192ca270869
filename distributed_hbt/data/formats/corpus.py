"""Corpora and lists of queries, as entries for a text index, and the passages found in one."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from distributed_hbt.data.example import BadRow, Passage
from distributed_hbt.data.files import filled_lines
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import Record, records
from distributed_hbt.data.formats.text_index import Entry, TextIndex


def corpus_entries(
    paths: Iterable[Path], id_field: str, text_fields: tuple[str, ...] = ("text",)
) -> Iterator[Entry | BadRow]:
    """Rows {id, text[, title]}; of several text fields the first that a row has.

    A blank text is kept here: it is a fault of the row that refers to it, if any does.
    """
    for where, record in records(paths):
        if isinstance(record, BadRow):
            yield record
            continue
        try:
            yield _entry(record, where, id_field, text_fields)
        except RowFault as fault:
            yield BadRow(where, str(fault))


def table_entries(paths: Iterable[Path]) -> Iterator[Entry | BadRow]:
    """Lines `id<TAB>text`."""
    for where, line in filled_lines(paths):
        try:
            identifier, text = split_line(line, 2)
        except RowFault as fault:
            yield BadRow(where, str(fault))
        else:
            yield Entry(identifier, "", text, where)


def split_line(line: bytes, columns: int) -> list[str]:
    """The columns of a tab-separated line without quotes; the last may hold tabs. Raises RowFault."""
    try:
        parts = line.decode().split("\t", columns - 1)
    except UnicodeDecodeError as error:
        raise RowFault("is not valid UTF-8") from error
    if len(parts) != columns:
        raise RowFault(f"has {len(parts)} tab-separated columns, not {columns}")
    return parts


def passage(corpus: TextIndex, docid: str) -> Passage:
    """The passage of an id. Raises RowFault where the corpus lacks it or its text is blank."""
    entry = corpus.get(docid)
    if entry is None:
        raise RowFault(f"passage {docid!r} is not in the corpus")
    return Passage(docid, entry.title, fields.filled(entry.text, f"the text of passage {docid!r}"))


def _entry(record: Record, where: str, id_field: str, text_fields: tuple[str, ...]) -> Entry:
    text_field = next((name for name in text_fields if record.get(name) is not None), text_fields[0])
    title = record.get("title")
    return Entry(
        fields.identifier(record, id_field),
        "" if title is None else fields.encodable(title, "field 'title'"),
        fields.encodable(fields.present(record, text_field), f"field {text_field!r}"),
        where,
    )
