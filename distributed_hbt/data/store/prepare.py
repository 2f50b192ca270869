"""The store of a run: found by its fingerprint, or built."""

import logging
from pathlib import Path
from typing import Any

from distributed_hbt.config.data import DataConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.build_once import build_once
from distributed_hbt.data.source_files import lexicon_identity, source_identity
from distributed_hbt.data.store.building import build_store
from distributed_hbt.data.store.digest import digest
from distributed_hbt.data.store.reading import Store, open_store
from distributed_hbt.errors import DataError
from distributed_hbt.models.text import TextEncoder

_log = logging.getLogger(__name__)

FORMAT = 1
"""Raised whenever a reader or the store's layout changes what a store of the same sources holds."""


def prepare_store(config: RunConfig, texts: TextEncoder, folder: Path) -> Store:
    """The tokenized store of a run's data below `folder`; built there where it is not yet.

    Any number of processes may call it at once: one builds, the others wait. Raises DataError for data
    that can not be used (more unusable rows than `data.max_bad_share` among them), and ConfigError where
    `folder` can not be written.
    """
    identity = {**data_identity(config.data, folder), "texts": texts.fingerprint}
    fingerprint = digest(identity)

    def build(partial_folder: Path) -> None:
        build_store(partial_folder, config.data, texts, {"fingerprint": fingerprint, "identity": identity})
        check_unchanged(config.data, identity, folder)

    build_once(folder / fingerprint, build)
    store = open_store(folder / fingerprint)
    bad_rows = store.bad_rows
    bad_rows.verdict(config.data.max_bad_share)
    if bad_rows.bad:
        shown = "; ".join(f"{row.where} {row.reason}" for row in bad_rows.first)
        _log.warning("left out %d of %d rows: %s", bad_rows.bad, bad_rows.rows, shown)
    return store


def data_identity(data: DataConfig, folder: Path) -> dict[str, Any]:
    """What decides the rows of the training data: settings and file contents, no paths.

    Digests of the files are kept in `folder`. Raises DataError where a file is missing.
    """
    cache = folder / "digests"
    identity = {"format": FORMAT, "sources": [source_identity(source, cache) for source in data.sources]}
    if data.code_switching is not None:
        identity["code_switching"] = lexicon_identity(data.code_switching, cache)
    return identity


def check_unchanged(data: DataConfig, identity: dict[str, Any], folder: Path) -> None:
    """Raises DataError where the files are no longer those of `identity`."""
    if any(identity[name] != value for name, value in data_identity(data, folder).items()):
        raise DataError("data.sources", "files changed while they were read", "start again")
