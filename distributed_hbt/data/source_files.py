"""Which files a source is read from, and a digest of what is in them."""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

from distributed_hbt.config.data import (
    AfriqaSource,
    BeirSource,
    CodeSwitchingConfig,
    ColumnsSource,
    FlagEmbeddingSource,
    HbtJsonlSource,
    MiraclSource,
    MmarcoSource,
    ParallelSource,
    Source,
    SquadSource,
    TevatronSource,
    TevatronV2Source,
)
from distributed_hbt.data import files
from distributed_hbt.errors import DataError

_PATH_FIELDS = frozenset({"path", "paths", "corpus", "topics", "qrels", "triples", "queries", "collection"})
_NO_MATTER = frozenset({"weight"})
"""Fields that change how rows are drawn, and not what they are."""
_RECENT_SECONDS = 2.0
_BLOCK = 1 << 22
_log = logging.getLogger(__name__)


def source_identity(source: Source, cache: Path) -> dict[str, Any]:
    """What decides the rows of a source: its settings and the content of its files, in order.

    Paths are left out, so the same data elsewhere has the same identity. Files are streamed; `cache` is
    the folder that keeps their digests. Raises DataError where a file is missing.
    """
    contents = {
        role: [_identity(path, cache) for path in files.expand(name)] for role, name in _paths(source)
    }
    return {"settings": source_settings(source), "files": list(contents.items())}


def source_settings(source: Source) -> dict[str, Any]:
    """The settings that decide what the rows of a source are, without the places of its files."""
    settings = source.model_dump(mode="json", exclude=set(_PATH_FIELDS | _NO_MATTER))
    if settings["share"] == 1:
        del settings["share"]  # so that all of a source has the identity that it had before there were shares
    return settings


def lexicon_identity(switching: CodeSwitchingConfig, cache: Path) -> dict[str, Any]:
    """What decides how queries are switched, as `source_identity` says it of rows."""
    contents = {
        language: [_identity(found, cache) for found in files.expand(path)]
        for language, path in switching.lexicons.items()
    }
    settings = switching.model_dump(mode="json", exclude={"lexicons"})
    return {"settings": settings, "files": list(contents.items())}


def _identity(path: Path, cache: Path) -> list[str]:
    """The suffix is part of it: readers tell CSV, TSV, JSON lines and Parquet by it."""
    return [Path(path.name.removesuffix(".gz")).suffix, file_digest(path, cache)]


def file_digest(path: Path, cache: Path) -> str:
    """BLAKE2b-128 of a file's bytes, remembered while the file's name, inode, size and times stay.

    A file that was just written is hashed every time, as a change within the clock's grain can not be told.
    """
    try:
        seen = path.stat()
        entry = cache / _stamp(path.absolute(), seen)
        if entry.exists():
            return entry.read_text(encoding="ascii")
        began = time.time()
        digest = _blake2b(path)
    except OSError as error:
        raise DataError(str(path), f"can not be read ({error.strerror})", "check the file") from error
    if began - max(seen.st_mtime, seen.st_ctime) > _RECENT_SECONDS:
        _remember(entry, digest)
    return digest


def _stamp(path: Path, seen: os.stat_result) -> str:
    identity = (str(path), seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return hashlib.blake2b(repr(identity).encode(), digest_size=16).hexdigest()


def _blake2b(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _remember(entry: Path, digest: str) -> None:
    """A folder of stores may be read-only for this user: then the file is hashed again the next time."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        partial = entry.with_name(f"{entry.name}.partial-{os.getpid()}")
        partial.write_text(digest, encoding="ascii")
        partial.replace(entry)
    except OSError as error:
        _log.info("the digest of a data file is not kept in %s (%s)", entry.parent, error.strerror)


def _paths(source: Source) -> Iterator[tuple[str, str]]:
    """(role, path as in the configuration) of all that a source reads."""
    match source:
        case HbtJsonlSource() | TevatronSource() | FlagEmbeddingSource() | ColumnsSource():
            yield "path", source.path
        case TevatronV2Source():
            yield from (("path", source.path), ("corpus", source.corpus))
        case MiraclSource():
            yield from (("topics", source.topics), ("qrels", source.qrels), ("corpus", source.corpus))
        case BeirSource():
            yield "qrels", source.qrels or files.member(source.path, f"qrels/{source.split}.tsv")
            for name in ("queries.jsonl", "corpus.jsonl"):
                yield name, files.member(source.path, name)
        case SquadSource() | AfriqaSource():
            for language in source.languages:
                yield f"path {language}", source.path.replace("{language}", language)
        case MmarcoSource():
            yield "triples", source.triples
            for language in source.languages:
                yield f"queries {language}", source.queries.replace("{language}", language)
                yield f"collection {language}", source.collection.replace("{language}", language)
        case ParallelSource():
            yield from ((f"paths {language}", path) for language, path in source.paths.items())
        case _:
            assert_never(source)
