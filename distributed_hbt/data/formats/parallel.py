"""Parallel sentences: line n of each file translates line n of the others (NTREX, Tatoeba)."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from distributed_hbt.config.data import ParallelSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example, Passage
from distributed_hbt.errors import DataError
from distributed_hbt.languages import language_code

_Line = tuple[int, bytes] | None


def read(source: ParallelSource) -> Iterator[Example | BadRow]:
    """Per line and language an example that asks for itself; the line number is the group.

    The batch plan puts a query of one language to a passage of another and never a text to itself. A
    line that is blank in one language leaves that language out of its group. Raises DataError for files
    of unequal length, once the shorter one has ended.
    """
    paths = {language: files.one_file(path) for language, path in source.paths.items()}
    for row in zip_longest(*(files.raw_lines(path) for path in paths.values())):
        _check_all_there(row, list(paths.values()))
        for (language, path), line in zip(paths.items(), row, strict=True):
            if line is not None and line[1].strip():
                yield _example(line[0], line[1], language_code(language), path)


def _example(number: int, line: bytes, language: str, path: Path) -> Example | BadRow:
    where = f"{path}:{number}"
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return BadRow(where, "is not valid UTF-8")
    return Example(
        group_id=str(number),
        query=text,
        query_language=language,
        passage_language=language,
        positives=(Passage(f"{language}:{number}", "", text),),
        where=where,
    )


def _check_all_there(row: tuple[_Line, ...], paths: list[Path]) -> None:
    ended = [path for path, line in zip(paths, row, strict=True) if line is None]
    if not ended:
        return
    longer, number = next((path, line[0]) for path, line in zip(paths, row, strict=True) if line is not None)
    what = f"there is no line {number} though {longer} has one, so the files are not parallel"
    raise DataError(f"{ended[0]}:{number}", what, "give files of equal length, line by line")
