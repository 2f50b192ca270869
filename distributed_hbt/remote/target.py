"""Copies of a run's checkpoints in a folder that fsspec reaches.

    <url>/<name>/step-00000100.<attempt>/checkpoint/...   the checkpoint's files
    <url>/<name>/step-00000100.<attempt>/run/...          small files of the run, as they were then
    <url>/<name>/step-00000100.<attempt>.json             last: size and SHA-256 of each of them

Every start of a run is an attempt with a name of its own, so none writes over what another has written, and
a copy never changes once its last file is there. A copy without it, or with a damaged one, is no copy.
"""

import contextlib
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.config.remote import RemoteConfig
from distributed_hbt.errors import ConfigError, HbtError
from distributed_hbt.masking import masked

_COPY = re.compile(r"step-(\d{8,})\.([\w.-]+)")
_WITHOUT_FOLDERS = frozenset({"s3", "gs", "gcs", "abfs", "az", "oss"})


@dataclass(frozen=True, order=True)
class Copy:
    """A whole copy of the checkpoint after `step` steps, by the start of the run that `attempt` names; names
    of later starts are greater."""

    step: int
    attempt: str

    @property
    def name(self) -> str:
        return f"step-{self.step:08d}.{self.attempt}"


class Remote:
    """The run's folder there. Its methods raise whatever the file system's client raises."""

    def __init__(self, file_system: Any, root: str, where: str) -> None:
        """`where`: the address for people, without a password."""
        self._fs = file_system
        self._root = root.rstrip("/")
        self.where = where

    def copies(self) -> list[Copy]:
        """All that are whole, oldest step first."""
        found = [
            _COPY.fullmatch(name.removesuffix(".json")) for name in self._names() if name.endswith(".json")
        ]
        return sorted(Copy(int(name[1]), name[2]) for name in found if name)

    def unfinished(self, attempt: str) -> list[str]:
        """Folders that an earlier attempt did not complete."""
        names = set(self._names())
        return [
            name
            for name in sorted(names)
            if (found := _COPY.fullmatch(name))
            and not name.endswith(".json")
            and found[2] != attempt
            and f"{name}.json" not in names
        ]

    def check_writable(self, attempt: str) -> None:
        """Write a small file."""
        self._put(f"{self._root}/attempt.{attempt}.json", b"{}\n")

    def upload(self, copy: Copy, files: Mapping[str, Path], contents: Mapping[str, bytes]) -> None:
        """Copy files and contents, by their names below the copy's folder; what says that it is whole comes
        last. Raises FileNotFoundError where a file is gone."""
        folder = f"{self._root}/{copy.name}"
        facts = {}
        for name, path in files.items():
            self._make_folder_of(f"{folder}/{name}")
            self._fs.put_file(str(path), f"{folder}/{name}")
            facts[name] = facts_of(path)
        for name, content in contents.items():
            self._put(f"{folder}/{name}", content)
            facts[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        marker = {"step": copy.step, "attempt": copy.attempt, "files": facts}
        self._put(f"{folder}.json", json.dumps(marker, indent=1).encode())

    def files(self, copy: Copy) -> dict[str, dict[str, Any]]:
        """Name -> size and sha256 of the copy's files. Raises ValueError where its last file is damaged, or
        names a file outside of its folder."""
        content = json.loads(self._fs.cat_file(f"{self._root}/{copy.name}.json"))
        files: dict[str, dict[str, Any]] = content["files"] if isinstance(content, dict) else {}
        if not files or any(_leaves_its_folder(name) for name in files):
            raise ValueError("its list of files is damaged")
        return files

    def download(
        self, copy: Copy, names: Iterable[str], facts: Mapping[str, Mapping[str, Any]], to: Path
    ) -> None:
        """Fetch files by their names, below `to`. Raises ValueError for one that is not what was copied."""
        for name in names:
            path = to / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fs.get_file(f"{self._root}/{copy.name}/{name}", str(path))
            if facts_of(path) != facts[name]:
                raise ValueError(f"{name} is damaged")

    def remove(self, name: str) -> None:
        """A copy's marker first: what is left of it is no copy."""
        for path in (f"{self._root}/{name}.json", f"{self._root}/{name}"):
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm(path, recursive=True)

    def _put(self, path: str, content: bytes) -> None:
        self._make_folder_of(path)
        self._fs.pipe_file(path, content)

    def _make_folder_of(self, path: str) -> None:
        """Object stores have none, and would make a bucket of a mistyped name."""
        kinds = self._fs.protocol if isinstance(self._fs.protocol, tuple) else (self._fs.protocol,)
        if not _WITHOUT_FOLDERS.intersection(kinds):
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)

    def _names(self) -> Iterator[str]:
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._root, detail=False)
        except FileNotFoundError:
            return
        for path in entries:
            yield path.rstrip("/").rpartition("/")[2]


def open_remote(config: RemoteConfig, name: str) -> Remote:
    """The folder of the run `name`; nothing is asked of it yet. Raises ConfigError naming remote.url."""
    with problems_of(config.url):
        from fsspec.core import url_to_fs

        file_system, root = url_to_fs(f"{config.url.rstrip('/')}/{name}", use_listings_cache=False)
    return Remote(file_system, root, f"{masked(config.url).rstrip('/')}/{name}")


@contextlib.contextmanager
def problems_of(url: str) -> Iterator[None]:
    """Turns what a file system's client raises into a ConfigError of one line."""
    try:
        yield
    except HbtError:
        raise
    # Every store's client has errors of its own; none of them says which field of the run is meant.
    except Exception as error:
        said = " ".join((str(error).strip() or type(error).__name__).split())[:200]
        what = f"{masked(url)} can not be used ({masked(said)})"
        remedy = "correct the address, the keys, or leave out remote"
        raise ConfigError("remote.url", what, remedy) from error


def new_attempt() -> str:
    """A name that is greater than those of earlier starts."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{_host()}-{os.getpid()}"


def facts_of(path: Path) -> dict[str, Any]:
    """{"size": in bytes, "sha256": hexadecimal}."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {"size": path.stat().st_size, "sha256": digest.hexdigest()}


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())


def _leaves_its_folder(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/") or not name.startswith(("checkpoint/", "run/"))
