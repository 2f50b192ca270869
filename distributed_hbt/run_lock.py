"""A lock file that one process holds; the system releases it when that process ends, however it ends."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.errors import ConfigError

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def hold(path: Path, what: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock for the time of the block; `what` names what its holder does, for people.

    Raises ConfigError naming the lock's folder where another process still holds it after `wait_seconds`,
    or where no lock can be had.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    where = str(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if wait_seconds <= 0:
                raise
            _log.info("%s: waiting up to %g s for another %s to end", where, wait_seconds, what)
            lock.acquire(timeout=wait_seconds)
    except Timeout as error:
        taken = f"another {what} is at this run"
        raise ConfigError(where, taken, "wait for it to end, or give the run another name") from error
    except (OSError, NotImplementedError) as error:
        raise ConfigError(where, f"can not be locked ({error})", "choose another output_dir") from error
    try:
        yield
    finally:
        lock.release()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock."""
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
