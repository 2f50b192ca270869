"""What a machine has run out of, in one line: disk, open files, memory, ports."""

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from distributed_hbt.errors import HbtError, WorkerFailed


@dataclass(frozen=True)
class _Resource:
    what: str
    remedy: str
    sign: str
    """Found in the messages of libraries whose errors have no number."""


_RESOURCES = {
    errno.ENOSPC: _Resource(
        "the disk is full",
        "make room and start again: what was begun is not taken for whole",
        r"No space left on device|database or disk is full|inline_container\.cc:\d+\] \. unexpected pos",
    ),
    errno.EDQUOT: _Resource(
        "the disk quota is used up",
        "make room and start again: what was begun is not taken for whole",
        r"Disk quota exceeded",
    ),
    errno.EMFILE: _Resource(
        "too many open files for this process",
        "raise its limit (ulimit -n 65536)",
        r"Too many open files|Failed to init uv loop",
    ),
    errno.ENFILE: _Resource("too many open files for this machine", "raise fs.file-max", r"\bENFILE\b"),
    errno.EADDRINUSE: _Resource(
        "the port is taken by another process",
        "choose another (MASTER_PORT, or --master-port of the launcher), or end that process",
        r"EADDRINUSE|[Aa]ddress already in use",
    ),
    errno.ENOMEM: _Resource(
        "there is no memory left",
        "lower train.max_tokens_per_chunk or the number of processes on the machine",
        r"[Cc]annot allocate memory|can't allocate memory|not enough memory",
    ),
    errno.EIO: _Resource(
        "the disk or network file system fails (input/output error)",
        "look at the machine's log (dmesg), then start again",
        r"Input/output error",
    ),
}
OF_THE_RUN = (errno.ENOSPC, errno.EDQUOT)
"""The run directory's own: another process, or another node, would meet it too."""
_SAID_BY_OTHERS = (*OF_THE_RUN, errno.EADDRINUSE)
"""Whoever turned these into an HbtError has named the place, and what to do there."""


def resource_failure(error: BaseException) -> WorkerFailed | None:
    """What the error comes to where it, or one that it followed from, is of a lack of resources; else None.

    An HbtError may be one, too: a file that can not be opened for want of a descriptor is not damaged.

    """
    for one in _chain(error):
        number = _number(one)
        if number is None or (isinstance(error, HbtError) and number in _SAID_BY_OTHERS):
            continue
        found = _RESOURCES[number]
        by_us = isinstance(one, HbtError)  # which has a remedy of its own in its text
        said = os.strerror(number) if by_us else " ".join(str(one).split())[:200] or type(one).__name__
        file = getattr(one, "filename", None)
        where = str(file) if file else error.where if isinstance(error, HbtError) else "resources"
        return WorkerFailed(where, f"{found.what} ({said})", found.remedy)
    return None


def is_of_the_run(error: BaseException) -> bool:
    """Whether a restart of the same run would meet it again, wherever its ranks are."""
    return any(_number(one) in OF_THE_RUN for one in _chain(error))


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno in _RESOURCES:
        return error.errno
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    text = str(error)
    return next((number for number, one in _RESOURCES.items() if re.search(one.sign, text)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
