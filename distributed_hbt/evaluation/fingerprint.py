"""What tells one encoder from another."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.models.manifest import EncoderManifest

_BLOCK = 1 << 22


def encoder_fingerprint(folder: Path) -> str:
    """A digest of everything that an encoder's embeddings depend on.

    The files of its folder; of an adapter also those of its base. (A base on the hub is told by its name
    and revision, which stand in the manifest.) Raises CheckpointError where the manifest can not be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for path in _files(folder):
        digest.update(f"{path.name}\n{path.stat().st_size}\n".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file())
    manifest = EncoderManifest.read(folder)
    if manifest.adapter:
        base = Path(manifest.base_location(folder))
        if base.is_dir():
            yield from sorted(path for path in base.iterdir() if path.is_file())
