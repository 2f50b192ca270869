"""A file of entries that are still to be sent: appended to by one process, sent by it or by a later one.

Each process has a file of its own, which it holds locked for as long as it lives; one that nobody holds is
left over from a process that ended before all was sent, and is anyone's to send. An entry is one line, and
is with the operating system when `append` returns: a killed process loses none. The disk has it at the next
`sync`: a machine that loses power loses what came after. A last line that was cut off is no entry.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = "tracking"
"""Of a run directory: where these files are."""

Entry = Mapping[str, Any]
"""See `deliver`."""

_AT_ONCE = 256 * 1024
_IN_MEMORY = 1000
_numbers = iter(range(1_000_000_000))


class Spool:
    """The file of this process. Safe in several threads."""

    def __init__(self, folder: Path) -> None:
        """Makes the file. Raises OSError where it can not be made or locked."""
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{time.time_ns():019d}-{socket.gethostname()}-{os.getpid()}-{next(_numbers)}"
        self.path = folder / f"{stamp}.jsonl"
        new = self.path.with_suffix(".new")  # nobody takes it over before it is locked
        self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(self.path)
        self._closed = False
        self._lock = threading.Lock()
        self._size = 0
        self._sent = 0
        self._in_memory: list[Entry] = []
        self.unwritten: str | None = None
        self.dropped = 0

    def append(self, entry: Entry) -> None:
        """Never raises: what the file system does not take (`unwritten` says why) is kept in memory, up to
        1,000 entries; `dropped` counts those beyond."""
        line = json.dumps(entry, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            try:
                if self._closed:
                    raise OSError(errno.EBADF, "the tracker is closed")
                self._write(line)
            except OSError as error:
                self.unwritten = error.strerror or type(error).__name__
                if len(self._in_memory) < _IN_MEMORY:
                    self._in_memory.append(entry)
                else:
                    self.dropped += 1

    def read(self) -> tuple[list[Entry], int]:
        """Some of the oldest entries that are not sent, and what `sent` is to be told of them."""
        with self._lock:
            if self._closed:
                return [], 0
            if self._sent < self._size:
                data = os.pread(self._file, min(_AT_ONCE, self._size - self._sent), self._sent)
                data = data[: data.rfind(b"\n") + 1] or self._long_line()
                return [json.loads(line) for line in data.splitlines()], len(data)
            return list(self._in_memory), -len(self._in_memory)

    def sent(self, mark: int) -> None:
        """What `read` gave is sent. A file of which all is sent is emptied."""
        with self._lock:
            if self._closed:
                return
            if mark < 0:
                del self._in_memory[:-mark]
                return
            self._sent += mark
            if self._sent == self._size > 0:
                os.ftruncate(self._file, 0)
                self._sent = self._size = 0

    def sync(self) -> None:
        """Have the disk keep what is written."""
        if self._closed:
            return
        with contextlib.suppress(OSError):  # the run is told of a broken disk by the files that it needs
            os.fsync(self._file)

    def waiting(self) -> int:
        """Number of entries that are not sent."""
        with self._lock:
            data = os.pread(self._file, self._size - self._sent, self._sent)
            return data.count(b"\n") + len(self._in_memory)

    def close(self) -> None:
        """Let go of the file; it is removed where all of it is sent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._sent == self._size:
                self.path.unlink(missing_ok=True)
            os.close(self._file)

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._file, self._size)  # no half line may stand before the next one
            raise
        self._size += len(line)

    def _long_line(self) -> bytes:
        data = os.pread(self._file, self._size - self._sent, self._sent)
        return data[: data.find(b"\n") + 1]


def entries_of(path: Path) -> Iterator[Entry | None]:
    """Entries of a file that this process does not write; None for a line that is damaged. A last line that
    was cut off is left out."""
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                content = json.loads(line)
            except ValueError:
                content = None
            yield content if isinstance(content, dict) else None


def spool_files(folder: Path) -> list[Path]:
    """All files of entries, oldest first."""
    return sorted(folder.glob("*.jsonl"))


@contextlib.contextmanager
def take_over(path: Path) -> Iterator[bool]:
    """Hold a file that is left over; False where a living process holds it, or it is gone."""
    with held(path, create=False) as taken:
        yield taken and path.exists()


@contextlib.contextmanager
def held(path: Path, *, create: bool = True) -> Iterator[bool]:
    """Hold a file; False where another process does, or it is not there and not to be made."""
    try:
        file = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o644)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        yield False
        return
    try:
        yield True
    finally:
        os.close(file)
