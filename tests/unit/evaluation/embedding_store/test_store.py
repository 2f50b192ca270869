"""The folder of a store and its manifest."""

import json
import logging
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.errors import ConfigError, DataError
from distributed_hbt.evaluation.embedding_store import (
    Int8Codes,
    PrefixCodes,
    StoreIdentity,
    prepare_store,
)
from tests.embedding_stores import IDENTITY, store_in

OTHERS: dict[str, Any] = {
    "encoder_fingerprint": "other",
    "corpus_fingerprint": "other",
    "shard_rows": 101,
    "dtype": "bfloat16",
    "dimension": 17,
    "format_version": 0,
}


def test_every_part_of_the_identity_has_its_own_folder() -> None:
    """Catches embeddings of another encoder, corpus, cut or type that are taken for these."""
    assert set(OTHERS) == {field.name for field in fields(StoreIdentity)}
    identities = [IDENTITY, *(replace(IDENTITY, **{name: value}) for name, value in OTHERS.items())]
    assert len({identity.folder(Path("stores")) for identity in identities}) == 1 + len(OTHERS)


def test_the_folder_of_an_identity_stays_the_same() -> None:
    """Catches a digest that differs from process to process, so that nothing is ever reused."""
    assert IDENTITY.folder(Path("stores")) == Path("stores/a468ee2f7776c5def4783ea7c9422c57")


def test_stores_with_other_codes_share_their_embeddings(tmp_path: Path) -> None:
    """Catches a corpus that is encoded again because its codes are wanted too, and codes that collide."""
    stores = [
        store_in(tmp_path, codes)
        for codes in (None, Int8Codes(), PrefixCodes(4, True, "float16"), PrefixCodes(4, False, "float16"))
    ]
    assert len({store.embeddings_path(1) for store in stores}) == 1
    assert len({store.codes_path(1, store.codes) for store in stores if store.codes}) == 3


def test_the_manifest_says_what_the_store_is(tmp_path: Path) -> None:
    """Catches a folder that nobody can tell from another."""
    content = json.loads((store_in(tmp_path).folder / "manifest.json").read_text())
    del content["checksum"]
    assert content == {**asdict(IDENTITY), "num_shards": 3, "num_rows": 250}


def test_a_whole_manifest_is_left_alone(tmp_path: Path) -> None:
    """Catches every evaluation writing it again."""
    path = store_in(tmp_path).folder / "manifest.json"
    before = path.stat()
    assert store_in(tmp_path).folder == path.parent
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff\xfe", "cut", "changed"])
def test_a_damaged_manifest_is_written_anew(
    tmp_path: Path, damage: bytes | str, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a traceback, and a changed value that is taken as it is."""
    path = store_in(tmp_path).folder / "manifest.json"
    whole = path.read_bytes()
    changes = {"cut": whole[:40], "changed": whole.replace(b'"num_rows": 250', b'"num_rows": 251')}
    changed = changes[damage] if isinstance(damage, str) else damage
    assert changed != whole
    path.write_bytes(changed)
    store_in(tmp_path)
    assert path.read_bytes() == whole
    assert f"{path} is damaged" in caplog.text


@pytest.mark.parametrize(("field", "num_rows"), [("encoder_fingerprint", 250), ("num_rows", 251)])
def test_a_folder_of_another_store_is_refused(tmp_path: Path, field: str, num_rows: int) -> None:
    """Catches a store that was copied to another's place, and mixed shards after it."""
    manifest = store_in(tmp_path).folder / "manifest.json"
    encoder = "other" if field == "encoder_fingerprint" else "encoder"
    identity = replace(IDENTITY, encoder_fingerprint=encoder)
    if field == "encoder_fingerprint":
        target = identity.folder(tmp_path)
        target.mkdir()
        manifest = manifest.rename(target / "manifest.json")
    with pytest.raises(DataError, match=rf"other values of {field}\); remove its folder") as caught:
        prepare_store(tmp_path, identity, num_shards=3, num_rows=num_rows)
    assert caught.value.where == str(manifest)


def _prepare(stores: Path) -> str:
    for _ in range(50):
        prepare_store(stores, IDENTITY, num_shards=3, num_rows=250)
        (IDENTITY.folder(stores) / "manifest.json").unlink(missing_ok=True)
    return str(prepare_store(stores, IDENTITY, num_shards=3, num_rows=250).folder)


def test_several_processes_prepare_a_store_at_once(tmp_path: Path) -> None:
    """Catches one that trips over another's file, or leaves something behind."""
    with ProcessPoolExecutor(3) as pool:
        folders = set(pool.map(_prepare, [tmp_path] * 3))
    assert folders == {str(IDENTITY.folder(tmp_path))}
    prepare_store(tmp_path, IDENTITY, num_shards=3, num_rows=250)
    assert [path.name for path in IDENTITY.folder(tmp_path).iterdir()] == ["manifest.json"]


def test_what_killed_writers_left_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Catches a folder that fills with parts of shards; and the removal of what a living writer writes."""
    folder = store_in(tmp_path).folder
    left, living = folder / "shard-000000.x.partial-node-1-77", folder / "shard-000000.x.partial-node-2-78"
    for path in (left, living):
        path.write_bytes(b"part")
    long_ago = time.time() - 7200
    os.utime(left, (long_ago, long_ago))
    with caplog.at_level(logging.INFO):
        store_in(tmp_path)
    assert (left.exists(), living.exists()) == (False, True)
    assert str(left) in caplog.text


def test_a_prefix_longer_than_the_embedding_is_refused(tmp_path: Path) -> None:
    """Catches codes that are the whole embedding under another name."""
    store_in(tmp_path, PrefixCodes(16, True, "float16"))
    with pytest.raises(ConfigError, match=r"^evaluation.store.prefix: 17 is more than the embedding's 16;"):
        store_in(tmp_path, PrefixCodes(17, True, "float16"))
