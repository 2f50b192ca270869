"""Passages of a corpus file with title and text apart, as they are written into rows."""

from collections.abc import Iterable, Iterator

from distributed_hbt.data.example import Passage
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.records import strict_json
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.corpus.files import CorpusFile, filled_lines


def read_passages(file: CorpusFile, *, max_characters: int) -> Iterator[Passage]:
    """All of them, as a stream, in the order of the file. Raises DataError with file:line."""
    for number, line in filled_lines(file, max_characters=max_characters):
        yield _passage(file, number, line)


def read_passages_at(file: CorpusFile, rows: Iterable[int], *, max_characters: int) -> Iterator[Passage]:
    """Those at ascending rows, counted from 0; the other lines are not looked into. Raises DataError."""
    remaining = iter(rows)
    wanted = next(remaining, None)
    for row, (number, line) in enumerate(filled_lines(file, max_characters=max_characters)):
        if wanted is None:
            return
        if row == wanted:
            yield _passage(file, number, line)
            wanted = next(remaining, None)
    if wanted is not None:
        raise changed(file)


def changed(file: CorpusFile) -> DataError:
    """A corpus file that is no longer what the search saw."""
    return DataError(str(file.path), "was changed while it was read", "let it be, then start again")


def _passage(file: CorpusFile, number: int, line: bytes) -> Passage:
    """The survey has refused what can not be read: only a file that was changed since can fail here."""
    try:
        record = strict_json(line)
        return Passage(
            fields.identifier(record, file.id_field), record.get("title") or "", str(record["text"])
        )
    except (RowFault, AttributeError, KeyError) as fault:
        where = f"{file.path}:{number}"
        raise DataError(where, f"is no passage ({fault})", "let the file be, then start again") from fault
