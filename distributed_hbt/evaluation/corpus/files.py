"""A corpus file as a stream of passages.

A row is a line that is not blank, counted from 0; messages name the line of the file, counted from 1.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from distributed_hbt.data.example import Passage
from distributed_hbt.data.files import raw_lines
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import strict_json
from distributed_hbt.errors import DataError

BlankPassages = Literal["refuse", "keep"]

_BYTES_A_CHARACTER = 12  # JSON may write one as two escapes: \ud83d\ude00
_SPARE_BYTES = 1 << 20  # the id, the names of the fields, and fields that nobody reads


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """JSON lines {<id_field>, title, text}, plain or .gz; `title` may be missing or null.

    `blank_passages` says what becomes of a passage with neither a title nor a text.
    """

    path: Path
    id_field: Literal["docid", "_id"]
    blank_passages: BlankPassages = "refuse"


@dataclass(frozen=True, slots=True)
class CorpusRow:
    """A passage; `text` is its title and text as they are encoded, `where` its file:line."""

    doc_id: str
    text: str
    where: str


def read_rows(file: CorpusFile, start: int, stop: int, *, max_characters: int) -> Iterator[CorpusRow]:
    """Rows `start` to `stop` (half open) as a stream; see `read_at`."""
    return read_at(file, range(start, stop), max_characters=max_characters)


def read_at(file: CorpusFile, rows: Iterable[int], *, max_characters: int) -> Iterator[CorpusRow]:
    """The rows at these ascending positions, as a stream; the other lines are not looked into.

    Raises DataError, naming file:line, for what `parse_row` refuses, for a damaged file, and for one that
    ends before the last position.
    """
    positions = iter(rows)
    wanted = next(positions, None)
    if wanted is None:
        return
    count = 0
    for number, line in filled_lines(file, max_characters=max_characters):
        if count == wanted:
            yield parse_row(file, number, line, max_characters=max_characters)
            wanted = next(positions, None)
            if wanted is None:
                return
        count += 1
    what = f"ends after {count} passages, and passage {wanted + 1} was asked for: it is not what it was"
    raise DataError(str(file.path), what, "leave the corpus alone while it is read, then start again")


def filled_lines(file: CorpusFile, *, max_characters: int) -> Iterator[tuple[int, bytes]]:
    """(line number from 1, line) of every row, unparsed.

    Raises DataError, naming file:line, where the file is damaged and where a line is too long for any
    passage of `max_characters`: it is not read to its end, which may be that of the file.
    """
    max_bytes = _BYTES_A_CHARACTER * max_characters + _SPARE_BYTES
    for number, line in raw_lines(file.path, max_bytes=max_bytes):
        if line.strip():
            yield number, line


def parse_row(file: CorpusFile, number: int, line: bytes, *, max_characters: int) -> CorpusRow:
    """The passage of a line. Raises DataError, naming file:line.

    Refused are: broken UTF-8 or JSON, a missing id or text, an id with white space (a run file could not
    hold it), a blank passage unless the file keeps them, and more than `max_characters` in title and text.
    """
    where = f"{file.path}:{number}"
    try:
        passage = _passage(file, line)
    except RowFault as fault:
        raise DataError(where, str(fault), "mend the line, or fetch the file again") from fault
    text = passage.full_text
    if len(text) > max_characters:
        what = f"passage {passage.docid!r} has {len(text)} characters, more than {max_characters}"
        raise DataError(where, what, "mend the file, or allow it with evaluation.max_passage_characters")
    if file.blank_passages == "refuse" and not text.strip():
        what = f"passage {passage.docid!r} is blank, in title and text"
        raise DataError(where, what, "mend the file, or set blank_passages: keep for this benchmark")
    return CorpusRow(passage.docid, text, where)


def _passage(file: CorpusFile, line: bytes) -> Passage:
    try:
        record = strict_json(line.decode())
    except UnicodeDecodeError as error:
        raise RowFault(f"is not valid UTF-8 (byte {error.start + 1} of the line)") from error
    if not isinstance(record, dict):
        raise RowFault("is no JSON object")
    title = record.get("title")
    return Passage(
        docid=run_file_id(fields.identifier(record, file.id_field), "document"),
        title="" if title is None else fields.encodable(title, "field 'title'"),
        text=fields.encodable(fields.present(record, "text"), "field 'text'"),
    )


def run_file_id(identifier: str, kind: str) -> str:
    """An id that a run file can hold. Raises RowFault for one with white space."""
    if identifier.split() != [identifier]:
        raise RowFault(f"{kind} id {identifier!r} holds white space, which run files can not hold")
    return identifier
