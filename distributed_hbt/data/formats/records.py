"""Rows as mappings, from JSON lines or Parquet, and the loop that turns them into examples."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.files import raw_lines
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.errors import DataError, one_line

Record = dict[str, Any]


def examples(paths: Iterable[Path], parse: Callable[[Record, str], Example]) -> Iterator[Example | BadRow]:
    """Every row of the files, parsed; `parse` gets the row and its file:line and raises RowFault."""
    for where, record in records(paths):
        if isinstance(record, BadRow):
            yield record
            continue
        try:
            yield parse(record, where)
        except RowFault as fault:
            yield BadRow(where, str(fault))


def records(paths: Iterable[Path]) -> Iterator[tuple[str, Record | BadRow]]:
    """(file:line, row) of JSON lines, and (file:row number) of Parquet files, as a stream."""
    for path in paths:
        yield from _parquet(path) if path.suffix == ".parquet" else _json_lines(path)


def strict_json(content: str | bytes) -> Any:
    """JSON without NaN and Infinity, which are no JSON. Raises RowFault."""
    try:
        return _JSON.decode(content.decode() if isinstance(content, bytes) else content)
    except UnicodeDecodeError as error:
        raise RowFault("is not valid UTF-8") from error
    except json.JSONDecodeError as error:
        raise RowFault(f"is broken JSON ({error.msg} at character {error.pos + 1})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or endless nesting
        raise RowFault(f"is broken JSON ({error})") from error


def _refuse_constant(name: str) -> NoReturn:
    raise RowFault(f"is broken JSON (holds {name}, which is no JSON value)")


_JSON = json.JSONDecoder(parse_constant=_refuse_constant)  # json.loads would make one for every row


def _json_lines(path: Path) -> Iterator[tuple[str, Record | BadRow]]:
    for number, line in raw_lines(path):
        if not line.strip():
            continue  # a blank line holds no row
        where = f"{path}:{number}"
        try:
            record = strict_json(line.decode())
            if not isinstance(record, dict):
                raise RowFault("is no JSON object")
        except UnicodeDecodeError:
            yield where, BadRow(where, "is not valid UTF-8")
        except RowFault as fault:
            yield where, BadRow(where, str(fault))
        else:
            yield where, record


def _parquet(path: Path) -> Iterator[tuple[str, Record | BadRow]]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{path}:{number}", record
    except (pyarrow.ArrowException, OSError) as error:
        what = f"can not be read as Parquet after row {number} ({one_line(error)})"
        raise DataError(str(path), what, "fetch or write the file again") from error
