"""Checksums of a store: of the arrays of its index, compared when it is opened, and of each row's tokens."""

import json
import logging
import mmap
from array import array
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.errors import DataError

FILE = "checksums.json"
_log = logging.getLogger(__name__)


def row_checksums(values: NDArray[np.int32], offsets: NDArray[np.int32]) -> "array[int]":
    """CRC-32 of the tokens of every row, which are values[offsets[i] : offsets[i + 1]]."""
    edges = offsets.tolist()
    return array("I", (crc32(values[a:b].data) for a, b in pairwise(edges)))


def write_index_checksums(index: Path) -> None:
    """Note the CRC-32 of every array of the index."""
    found = {path.name: _of_file(path) for path in sorted(index.glob("*.npy"))}
    (index / FILE).write_text(json.dumps(found, indent=1), encoding="utf-8")


def check_index(index: Path) -> bool:
    """Whether the index has checksums; a store of an older version has none, which is said in the log.

    Raises DataError naming an array that is not the one that was written.
    """
    try:
        expected: Mapping[str, Any] = json.loads((index / FILE).read_text(encoding="utf-8"))
        wrong = [name for name, checksum in expected.items() if _of_file(index / name) != checksum]
    except FileNotFoundError:
        what = "was built before stores had checksums: a damaged row of it is not noticed"
        _log.warning("the store %s %s; delete it to have it built anew", index.parent, what)
        return False
    except (OSError, ValueError, AttributeError) as error:
        raise _damaged(index / FILE, f"can not be read ({error})") from error
    if wrong:
        raise _damaged(index / wrong[0], "its bytes are not those that were written")
    return True


class TokenChecks:
    """Whether the tokens of a row are those that were written."""

    def __init__(self, lengths: NDArray[np.int32], checksums: NDArray[np.uint32]) -> None:
        self._lengths = lengths
        self._checksums = checksums

    def holds(self, row: int, tokens: NDArray[np.int32]) -> bool:
        """The length comes first: a damaged offset can give a row millions of tokens."""
        return len(tokens) == int(self._lengths[row]) and crc32(tokens.data) == int(self._checksums[row])


def _of_file(path: Path) -> int:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return crc32(content)


def _damaged(path: Path, what: str) -> DataError:
    return DataError(str(path), f"is damaged: {what}", "delete the store, it is built anew")
