"""Files and folders that are there whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from distributed_hbt.errors import WorkerFailed

_NO_PLACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Gives the name to write under; renames what stands there to `path` at the end, removes it on an error.

    A folder that is there already is replaced. Raises WorkerFailed where the place can not be written, as
    when the disk is full.
    """
    partial = path.with_name(f"{path.name}.partial-{os.uname().nodename}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if partial.is_dir() and path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        what = f"can not be written ({error.strerror})"
        raise WorkerFailed(str(path), what, "free some space, then start again to go on") from error
    finally:
        _remove(partial)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
