"""Datasets on disk: written batch by batch, token lists read from the mapped file without a copy."""

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.store.checksums import row_checksums
from distributed_hbt.errors import DataError, one_line

TOKENS = "input_ids"
_ROWS_AT_ONCE = 1000
_DATA_FILE = "data-00000-of-00001.arrow"


class DatasetWriter:
    """Writes a folder that `datasets.load_from_disk` reads. Holds 1,000 rows at a time.

    `columns`: name -> Arrow type name of each further column; with `tokenize`, the texts given with the
    rows become the column `input_ids`; `lengths` (int32, one a row) counts their tokens, and `checksums`
    (uint32) are those of them.
    """

    def __init__(
        self,
        folder: Path,
        columns: Mapping[str, str],
        tokenize: Callable[[Sequence[str]], list[list[int]]] | None = None,
    ) -> None:
        from datasets import Features, List, Value
        from datasets.arrow_writer import ArrowWriter

        folder.mkdir(parents=True)
        tokens = {TOKENS: List(Value("int32"))} if tokenize else {}
        self._features = Features({**tokens, **{name: Value(kind) for name, kind in columns.items()}})
        self._writer = ArrowWriter(path=str(folder / _DATA_FILE), features=self._features)
        self._folder = folder
        self._tokenize = tokenize
        self._rows: list[tuple[Any, ...]] = []
        self._texts: list[str] = []
        self.lengths = array("i")
        self.checksums = array("I")

    def add(self, row: tuple[Any, ...], text: str = "") -> None:
        """One row: the values of `columns` in their order, and its text."""
        self._rows.append(row)
        self._texts.append(text)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
            self._writer.finalize()
            self._describe()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow

        if not self._rows:
            return
        columns = [pyarrow.array(column) for column in zip(*self._rows, strict=True)]
        if self._tokenize:
            columns.insert(0, self._tokens(self._tokenize(self._texts)))
        schema = self._features.arrow_schema
        cast = [column.cast(field.type) for column, field in zip(columns, schema, strict=True)]
        self._writer.write_table(pyarrow.table(cast, schema=schema))
        self._rows.clear()
        self._texts.clear()

    def _tokens(self, token_lists: list[list[int]]) -> Any:
        import pyarrow

        lengths = array("i", map(len, token_lists))
        self.lengths.extend(lengths)
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int32)
        values = np.fromiter(chain.from_iterable(token_lists), dtype=np.int32, count=int(offsets[-1]))
        self.checksums.extend(row_checksums(values, offsets))
        return pyarrow.ListArray.from_arrays(offsets, values)

    def _describe(self) -> None:
        """What `load_from_disk` expects beside the data; `save_to_disk` would write all of it twice."""
        from datasets import DatasetInfo

        DatasetInfo(features=self._features).write_to_directory(str(self._folder))
        state: dict[str, Any] = {
            "_data_files": [{"filename": _DATA_FILE}],
            "_fingerprint": self._folder.name,
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        (self._folder / "state.json").write_text(json.dumps(state, indent=2), encoding="utf-8")


def load_table(folder: Path) -> Any:
    """The rows of a folder as a memory-mapped `pyarrow.Table`. Raises DataError where it is damaged.

    `datasets` would read the same, and takes a second to import, pandas with it, on every rank.
    """
    import pyarrow

    try:
        with pyarrow.memory_map(str(folder / _DATA_FILE)) as file:
            return pyarrow.ipc.open_stream(file).read_all()
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
        raise DataError(
            str(folder), f"is damaged ({one_line(error)})", "delete the store, it is built anew"
        ) from error


class TokenColumn:
    """The token lists of a table as numpy views of the mapped file: a row costs about a microsecond."""

    def __init__(self, table: Any) -> None:
        chunks = [chunk for chunk in table.column(TOKENS).chunks if len(chunk)]
        # Every record batch has its own buffers; `offsets` and `values` are views of them, not copies.
        self._offsets = [_view(chunk.offsets) for chunk in chunks]
        self._values = [_view(chunk.values) for chunk in chunks]
        self._starts = np.cumsum([0, *map(len, chunks)]).tolist()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """int32[n], read-only. Raises IndexError outside of [0, len)."""
        if not 0 <= row < self._starts[-1]:
            raise IndexError(f"row {row} of {self._starts[-1]}")
        chunk = bisect_right(self._starts, row) - 1
        offsets = self._offsets[chunk]
        row -= self._starts[chunk]
        tokens: NDArray[np.int32] = self._values[chunk][offsets[row] : offsets[row + 1]]
        return tokens


def _view(numbers: Any) -> NDArray[np.int32]:
    """int32[n] of an Arrow array without nulls. Its own `to_numpy` does the same and imports pandas."""
    _, buffer = numbers.buffers()
    everything = np.frombuffer(b"" if buffer is None else buffer, dtype=np.int32)
    return everything[numbers.offset : numbers.offset + len(numbers)]
