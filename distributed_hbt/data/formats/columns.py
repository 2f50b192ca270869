"""sentence-transformers columns, told by their order: anchor, positive, negative_1 ... negative_n."""

import csv
from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.config.data import ColumnsSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.data.files import raw_lines
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import Record, records
from distributed_hbt.data.formats.text_group import group_of_text
from distributed_hbt.errors import DataError
from distributed_hbt.languages import language_code

_LABELS = ("label", "labels", "score", "scores")


def read(source: ColumnsSource) -> Iterator[Example | BadRow]:
    """JSON lines, Parquet, or CSV and TSV with a header. Rows with the same anchor are one group.

    The order of the columns is that of the first row (of the header) of each file; the names mean
    nothing. Raises DataError for fewer than two columns and for label columns, which this training has
    no use for.
    """
    for path in files.expand(source.path):
        names: list[str] = []
        for where, record in _rows(path):
            if isinstance(record, BadRow):
                yield record
                continue
            names = names or _checked_names(list(record), where)
            try:
                yield _example(record, names, source, where)
            except RowFault as fault:
                yield BadRow(where, str(fault))


def _rows(path: Path) -> Iterator[tuple[str, Record | BadRow]]:
    suffix = Path(path.name.removesuffix(".gz")).suffix
    if suffix in (".csv", ".tsv"):
        return _delimited(path, "," if suffix == ".csv" else "\t")
    return records([path])


def _checked_names(names: list[str], where: str) -> list[str]:
    if len(names) < 2:
        what = f"has the columns {names}, not at least an anchor and a positive"
        raise DataError(where, what, "give one text column after the other")
    labels = [name for name in names if name in _LABELS]
    if labels:
        what = f"column {labels[0]!r} holds labels, not texts"
        raise DataError(where, what, "keep the rows that are positive and drop the column")
    return names


def _example(record: Record, names: list[str], source: ColumnsSource, where: str) -> Example:
    unknown = [name for name in record if name not in names]
    if unknown:
        raise RowFault(f"has a column {unknown[0]!r} that the file's first row lacks")
    query, *texts = [fields.text(record, name) for name in names]
    passages = [Passage(docid="", title="", text=text) for text in texts]
    return Example(
        group_id=group_of_text(query),
        query=query,
        query_language=language_code(source.query_language),
        passage_language=language_code(source.passage_language),
        positives=(passages[0],),
        negatives=tuple(passages[1:]),
        where=where,
    )


def _delimited(path: Path, delimiter: str) -> Iterator[tuple[str, Record | BadRow]]:
    """Rows of a CSV file with a header; a quoted field may hold line breaks, and a row is then named by
    its first line. A byte that is no UTF-8 becomes half a surrogate, which makes its row a bad one."""
    content = (line.decode(errors="surrogateescape") + "\n" for _, line in raw_lines(path))
    reader = csv.reader(content, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        first_line = reader.line_num + 1
        where = f"{path}:{first_line}"
        try:
            row = next(reader, None)
        except csv.Error as error:
            if reader.line_num > first_line:  # where the next row begins is lost
                what = f"a quoted field is not closed before line {reader.line_num} ({error})"
                raise DataError(where, what, "close or double the quote") from error
            yield where, BadRow(where, f"is no valid row ({error})")
            continue
        if row is None:
            return
        if not row:
            continue  # a blank line holds no row
        if not header:
            header = _distinct(row, where)
        elif len(row) != len(header):
            yield where, BadRow(where, f"has {len(row)} columns, the header has {len(header)}")
        else:
            yield where, dict(zip(header, row, strict=True))


def _distinct(header: list[str], where: str) -> list[str]:
    if len(set(header)) < len(header):
        raise DataError(where, f"the header {header} names a column twice", "give each column its name")
    return header
