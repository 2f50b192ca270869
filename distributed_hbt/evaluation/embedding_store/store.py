"""A store's folder and its manifest."""

import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.embedding_store.codes import Codes, check_codes
from distributed_hbt.evaluation.embedding_store.identity import StoreIdentity
from distributed_hbt.evaluation.whole_file import written_whole

_log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
_CHECKSUM = "checksum"
_STALE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class EmbeddingStore:
    """Where the shards of one identity are, and which codes are searched. Picklable, opens nothing."""

    folder: Path
    identity: StoreIdentity
    codes: Codes | None = None

    def embeddings_path(self, index: int) -> Path:
        return self.folder / f"shard-{index:06d}.embeddings.safetensors"

    def codes_path(self, index: int, codes: Codes) -> Path:
        return self.folder / f"shard-{index:06d}.{codes.name}.safetensors"


def prepare_store(
    stores: Path,
    identity: StoreIdentity,
    codes: Codes | None = None,
    *,
    num_shards: int,
    num_rows: int,
) -> EmbeddingStore:
    """The store of an identity below `stores`, its manifest written unless it is there.

    Stores with the same embeddings and other codes are one store. Several processes may call it at once.
    Raises ConfigError for codes that do not fit the embeddings, DataError where the folder holds another
    store, WorkerFailed where it can not be written.
    """
    check_codes(codes, identity.dimension)
    store = EmbeddingStore(identity.folder(stores), identity, codes)
    content = {**asdict(identity), "num_shards": num_shards, "num_rows": num_rows}
    path = store.folder / MANIFEST
    found = _read(path)
    if found is None:
        with written_whole(path) as partial:
            partial.write_text(json.dumps(_with_checksum(content), indent=1) + "\n", encoding="utf-8")
    elif found != content:
        fields = sorted(key for key in content | found if content.get(key) != found.get(key))
        what = f"is of another store (other values of {', '.join(fields)})"
        raise DataError(str(path), what, "remove its folder; the store is made anew")
    _remove_leftovers(store.folder)
    return store


def _read(path: Path) -> dict[str, Any] | None:
    """The manifest's content without its checksum; None where there is none, or a damaged one."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        content = {key: value for key, value in found.items() if key != _CHECKSUM}
        if _with_checksum(content) == found:
            return content
    _log.warning("%s is damaged and is written anew; every shard is verified by itself", path)
    return None


def _with_checksum(content: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(content, sort_keys=True)
    return {**content, _CHECKSUM: hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}


def _remove_leftovers(folder: Path) -> None:
    """What killed writers left. A living one writes all the time, on whatever machine it is."""
    for path in folder.glob("*.partial-*"):
        try:
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()
                _log.info("removed %s, which a killed process left", path)
        except FileNotFoundError:
            pass  # renamed or removed meanwhile
