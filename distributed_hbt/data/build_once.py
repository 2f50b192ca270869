"""Folders that are built once, however many processes ask for them at the same time."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from distributed_hbt.errors import ConfigError

MARKER = "COMPLETE"
"""Written last; holds the size of every other file of the folder."""

_log = logging.getLogger(__name__)


def build_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Make sure that `folder` is there and whole; `build` fills it where it is not.

    The one process that holds the lock builds aside and renames, so others see all of it or nothing. The
    system releases the lock of a builder that dies, and the next one removes what that left. A folder
    with a missing or shortened file is built anew. Where `build` raises, nothing is left.

    Raises ConfigError where the place can not be written; what `build` raises passes through.
    """
    from filelock import FileLock

    if damage(folder) is None:
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Held for the whole build: another rank waits for the result instead of building it again.
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            what = damage(folder)
            if what is None:
                return
            if folder.exists():
                _log.warning("%s %s and is built anew", folder, what)
            _build_aside(folder, build)
    except OSError as error:
        where = f"{error.filename or folder}"
        what = f"{where} can not be written ({error.strerror or error})"
        raise ConfigError("data.store_dir", what, "free some space or choose another folder") from error


def damage(folder: Path) -> str | None:
    """What is wrong with a folder that `build_once` made, None where it is whole. Looks at sizes only."""
    try:
        sizes = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"has no {MARKER}" if folder.exists() else "does not exist"
    except (OSError, ValueError, RecursionError) as error:
        return f"has an unreadable {MARKER} ({error})"
    for name, size in sizes.items():
        try:
            found = (folder / name).stat().st_size
        except OSError:
            return f"has lost {name}"
        if found != size:
            return f"is damaged ({name} has {found} bytes, not {size})"
    return None


def _build_aside(folder: Path, build: Callable[[Path], None]) -> None:
    # Only the holder of the lock builds, so any partial folder is that of a builder that died.
    for leftover in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(leftover)
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    partial.mkdir()
    _log.info("building %s", folder)
    try:
        build(partial)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        sizes = {path.relative_to(partial).as_posix(): path.stat().st_size for path in files}
        (partial / MARKER).write_text(json.dumps(sizes, indent=1), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
