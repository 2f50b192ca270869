"""COMPLETE: the last file of a checkpoint, with the size and the checksum of every other one."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.errors import CheckpointError

MARKER = "COMPLETE"
"""Stands in a checkpoint that is whole."""

_THREADS = 4
_ALGORITHM = "sha256"  # processors have instructions for it: 0.5 s a GiB, where blake2b takes 0.8 s


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file was when it was written; `bytes` counts them."""

    bytes: int
    sha256: str


Files = Mapping[str, FileFacts]
"""By their path below the checkpoint, with slashes."""


@dataclass(frozen=True, slots=True)
class Damage:
    """The first file found that is not as it was written, and what is wrong with it."""

    file: Path
    what: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}"


def facts_of(folder: Path, names: Iterable[str]) -> dict[str, FileFacts]:
    """Size and checksum of these files, which are read in threads. Raises OSError."""
    names = list(names)
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(names, pool.map(lambda name: _facts(folder / name), names), strict=True))


def write_marker(folder: Path, files: Files, about: Mapping[str, Any]) -> None:
    """Write the marker, and see to it that it and all folders are on the disk. The files are by now.

    Raises OSError.
    """
    content = {
        **about,
        "algorithm": _ALGORITHM,
        "files": {name: asdict(facts) for name, facts in sorted(files.items())},
    }
    marker = folder / MARKER
    marker.write_text(json.dumps(content, indent=1), encoding="utf-8")
    sync(marker)
    for below in {folder, *((folder / name).parent for name in files)}:
        sync(below)


def sync(path: Path) -> None:
    """Have the system put a file, or a folder's list of names, on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_unverifiable(folder: Path) -> bool:
    """Whether this is the checkpoint of an older version, whose marker is empty. Newer ones say in state.json
    that they have checksums, so that a marker that was emptied is not taken for an older one."""
    marker, state = folder / MARKER, folder / "state.json"
    if not marker.exists() or marker.stat().st_size:
        return False
    return b'"checksums"' not in (state.read_bytes() if state.exists() else b"")


def read_marker(folder: Path) -> Files | Damage:
    """What the marker says of the files: nothing in a checkpoint that is unverifiable."""
    if is_unverifiable(folder):
        return {}
    marker = folder / MARKER
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
        return {name: FileFacts(**facts) for name, facts in found["files"].items()}
    except FileNotFoundError:
        return Damage(marker, "is missing")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Damage(marker, f"can not be read ({type(error).__name__}: {error})")


def damage_of(folder: Path, files: Files, below: str = "") -> Damage | None:
    """What is wrong with those of the marker's files whose path begins with `below`; None: nothing.

    Sizes first, which is quick, then checksums, in threads.
    """
    wanted = {name: facts for name, facts in files.items() if name.startswith(below)}
    for name, facts in wanted.items():
        size = _size(folder / name)
        if size != facts.bytes:
            what = "is missing" if size is None else f"has {size} bytes, and {facts.bytes} were written"
            return Damage(folder / name, what)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = pool.map(lambda item: _change(folder / item[0], item[1]), wanted.items())
        return next((damage for damage in found if damage is not None), None)


def surplus_of(folder: Path, files: Files, below: str = "") -> Damage | None:
    """A file that nobody wrote, in one of the folders whose files are found by their names (engine, encoder).
    Hidden ones are a file system's own."""
    for top in sorted({name.partition("/")[0] for name in files if "/" in name and name.startswith(below)}):
        for path in sorted((folder / top).rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in files and not path.name.startswith("."):
                return Damage(path, "does not belong to the checkpoint")
    return None


def check_encoder(encoder: Path) -> None:
    """Read every file of a checkpoint's encoder and compare it with what was written. One that stands in no
    checkpoint, as an exported one, or in one that is unverifiable, has nothing to be compared with.

    Raises CheckpointError naming the file.
    """
    folder, below = encoder.parent, f"{encoder.name}/"
    if not (folder / MARKER).exists():
        return
    files = read_marker(folder)
    found = files if isinstance(files, Damage) else None
    if not isinstance(files, Damage):
        found = damage_of(folder, files, below) or surplus_of(folder, files, below)
    if found is not None:
        remedy = "take another checkpoint, or remove this one and train again to have it written anew"
        raise CheckpointError(str(found.file), found.what, remedy)


def _facts(path: Path) -> FileFacts:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, _ALGORITHM)
        return FileFacts(bytes=file.tell(), sha256=digest.hexdigest())


def _change(path: Path, written: FileFacts) -> Damage | None:
    try:
        found = _facts(path)
    except OSError as error:
        return Damage(path, f"can not be read ({error.strerror})")
    if found == written:
        return None
    return Damage(path, f"is not what was written (its {_ALGORITHM} is {found.sha256[:12]}...)")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
