"""Arrays in one file that is there whole or not at all, with a checksum over everything in it.

The files are in the safetensors format (an 8-byte length, a JSON header, the arrays), so other programs can
read them; the checksum stands in the header's metadata. bfloat16 is uint16 here.
"""

import errno
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.evaluation.whole_file import written_whole

_NAMES = {"<f4": "F32", "<f2": "F16", "<u2": "BF16", "|i1": "I8", "|u1": "U8", "<i8": "I64"}
_DTYPES = {name: np.dtype(dtype) for dtype, name in _NAMES.items()}
_METADATA = "__metadata__"
_CHECKSUM = "crc32"
_NO_CHECKSUM = "0" * 8
_ALIGNMENT = 64
_LONGEST_HEADER = 1 << 20
_READ_BYTES = 4 << 20


class Damaged(ValueError):  # noqa: N818 (the name says what happened)
    """A file is not what was written; the message says in what way."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An array to be written: blocks of its rows, in order, which together have `shape`."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Iterable[NDArray[Any]]

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Tensor":
        return cls(array.dtype, array.shape, (array,))

    @property
    def num_bytes(self) -> int:
        return _num_bytes(self.dtype, self.shape)


@dataclass(frozen=True, slots=True)
class TensorFile:
    """A file that was verified; `arrays` are read-only views of its memory map."""

    metadata: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]

    @property
    def checksum(self) -> str:
        return self.metadata[_CHECKSUM]


def write_tensors(path: Path, metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> None:
    """Write aside, then rename. Raises WorkerFailed where the place can not be written."""
    # The widest type first: then each array starts at a multiple of its own type's size.
    names = sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize)
    blank = _header({**metadata, _CHECKSUM: _NO_CHECKSUM}, {name: tensors[name] for name in names})
    with written_whole(path) as partial, partial.open("wb") as file:
        file.write(blank)
        checksum = zlib.crc32(blank)
        for name in names:
            checksum = _write(file, tensors[name], checksum)
        file.seek(0)
        file.write(_with_checksum(blank, checksum))


def open_tensors(path: Path) -> TensorFile:
    """Verify a file, every byte of it, and map it.

    Raises FileNotFoundError, Damaged, and OSError where the system refuses.
    """
    with path.open("rb") as file:
        try:
            return _open(file)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            raise Damaged(f"can not be read ({error.strerror})") from error


def _open(file: BufferedReader) -> TensorFile:
    size = file.seek(0, 2)
    file.seek(0)
    raw, content = _read_header(file)
    places = {name: entry for name, entry in content.items() if name != _METADATA}
    expected = len(raw) + max(entry["data_offsets"][1] for entry in places.values())
    if size != expected:
        raise Damaged(f"has {size} bytes, not {expected}")
    metadata = content[_METADATA]
    if _with_checksum(raw, _checksum(file, raw)) != raw:
        raise Damaged("does not match its checksum")
    # The very file that was verified is mapped, also when another is renamed to its place now.
    # (A plain view of the map: slicing the memmap class itself costs microseconds more.)
    data_N = np.asarray(np.memmap(file, np.uint8, "r"))[len(raw) :]
    return TensorFile(metadata, {name: _view(data_N, entry) for name, entry in places.items()})


def _read_header(file: BufferedReader) -> tuple[bytes, dict[str, Any]]:
    """The header as it is in the file, its length included, and what it says."""
    length = int.from_bytes(file.read(8), "little")
    if length > _LONGEST_HEADER:
        raise Damaged("has no header")
    text = file.read(length)
    try:
        content = json.loads(text)
        tensors = {
            name: Tensor(_DTYPES[entry["dtype"]], tuple(entry["shape"]), ())
            for name, entry in content.items()
            if name != _METADATA
        }
        raw = _header(content[_METADATA], tensors)
        _with_checksum(raw, 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged("has a damaged header") from error
    if not tensors or raw[8:] != text:
        raise Damaged("has a damaged header")
    return raw, content


def _header(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> bytes:
    """The same content always has the same bytes."""
    content: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))}
    offset = 0
    for name, tensor in tensors.items():
        stop = offset + tensor.num_bytes
        shape = list(tensor.shape)
        content[name] = {"dtype": _NAMES[tensor.dtype.str], "shape": shape, "data_offsets": [offset, stop]}
        offset = stop
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _with_checksum(header: bytes, checksum: int) -> bytes:
    """The header with another checksum in it. Raises ValueError where it has none."""
    start = header.index(f'"{_CHECKSUM}":"'.encode()) + len(_CHECKSUM) + 4
    return header[:start] + f"{checksum:08x}".encode() + header[start + len(_NO_CHECKSUM) :]


def _checksum(file: BufferedReader, header: bytes) -> int:
    """Of the header without its checksum and all that follows."""
    checksum = zlib.crc32(_with_checksum(header, 0))
    file.seek(len(header))
    buffer = bytearray(_READ_BYTES)
    while read := file.readinto(buffer):
        checksum = zlib.crc32(memoryview(buffer)[:read], checksum)
    return checksum


def _write(file: BinaryIO, tensor: Tensor, checksum: int) -> int:
    start = file.tell()
    for block in tensor.blocks:
        content = np.ascontiguousarray(block, tensor.dtype).reshape(-1).view(np.uint8).data
        file.write(content)
        checksum = zlib.crc32(content, checksum)
    assert file.tell() - start == tensor.num_bytes, "the blocks do not have the tensor's shape"
    return checksum


def _view(data_N: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[Any]:
    start, stop = entry["data_offsets"]
    return data_N[start:stop].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _num_bytes(dtype: np.dtype[Any], shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
