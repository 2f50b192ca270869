"""A checkpoint's files are what was written, or the one that is not is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distributed_hbt.checkpoint_marker import (
    MARKER,
    Damage,
    check_encoder,
    damage_of,
    facts_of,
    is_unverifiable,
    read_marker,
    surplus_of,
    write_marker,
)
from distributed_hbt.errors import CheckpointError

NAMES = ("engine/zero_pp_rank_0.pt", "engine/model_states.pt", "encoder/model.safetensors", "state.json")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder as a checkpoint is, with its marker."""
    folder = tmp_path / "step-00000005"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(range(200)) * (number + 1))
    (folder / "state.json").write_text('{"step": 5, "checksums": "COMPLETE"}')
    write_marker(folder, facts_of(folder, NAMES), {"step": 5})
    return folder


def found(folder: Path) -> str | None:
    files = read_marker(folder)
    if isinstance(files, Damage):
        return str(files)
    damage = damage_of(folder, files) or surplus_of(folder, files)
    return None if damage is None else str(damage)


def flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_what_was_written_is_not_damaged(checkpoint: Path) -> None:
    """A check that refuses what is whole, or what a file system hides among it."""
    (checkpoint / "engine" / ".nfs0001").touch()
    (checkpoint / "universal").mkdir()
    (checkpoint / "universal" / "made of it").touch()
    assert found(checkpoint) is None
    assert not is_unverifiable(checkpoint)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_a_single_bit_is_found(checkpoint: Path, name: str, place: float) -> None:
    """A checksum over a part of a file, or of some of the files."""
    path = checkpoint / name
    flip(path, round(place * (8 * path.stat().st_size - 1)))
    assert (found(checkpoint) or "").startswith(f"{path} is not what was written")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, and"),
        (lambda path: path.write_bytes(b""), "has 0 bytes, and"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "bytes, and"),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.with_name("more.pt").touch(), "more.pt does not belong to the checkpoint"),
    ],
    ids=["cut", "emptied", "longer", "missing", "extra"],
)
@pytest.mark.parametrize("name", NAMES[:3])
def test_another_file_is_found(
    checkpoint: Path, name: str, spoil: Callable[[Path], object], what: str
) -> None:
    """A file that a full disk has cut, or that another program has put among those that are globbed."""
    spoil(checkpoint / name)
    assert what in (found(checkpoint) or "")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"files": {"state.json": 3}}', '{"files": null}'])
def test_a_damaged_marker_is_found(checkpoint: Path, content: str) -> None:
    """A marker that is taken for that of a checkpoint with no files."""
    (checkpoint / MARKER).write_text(content)
    assert f"{MARKER} can not be read" in (found(checkpoint) or "")


def test_every_bit_of_the_marker_matters_or_changes_nothing(checkpoint: Path) -> None:
    """A flipped bit in a name or a checksum that passes for a file that is not looked at."""
    marker = checkpoint / MARKER
    whole = json.loads(marker.read_text())
    for bit in range(0, 8 * marker.stat().st_size, 23):
        flip(marker, bit)
        try:
            same = json.loads(marker.read_text())["files"] == whole["files"]
        except (ValueError, KeyError):
            same = False
        assert (found(checkpoint) is None) == same, bit
        flip(marker, bit)


def test_an_older_version_s_checkpoint_is_unverifiable(checkpoint: Path) -> None:
    """A run of an older version that can not go on; or an emptied marker that passes for one."""
    (checkpoint / MARKER).write_text("")
    assert not is_unverifiable(checkpoint)
    (checkpoint / "state.json").write_text('{"step": 5}')
    assert is_unverifiable(checkpoint)
    assert found(checkpoint) is None


def test_a_damaged_encoder_is_refused_by_its_file(checkpoint: Path) -> None:
    """Results of weights that nobody has trained. What is wrong elsewhere does not keep from evaluating."""
    flip(checkpoint / "engine/model_states.pt", 9)
    check_encoder(checkpoint / "encoder")
    flip(checkpoint / "encoder/model.safetensors", 9)
    with pytest.raises(CheckpointError, match=r"encoder/model.safetensors: is not what was written"):
        check_encoder(checkpoint / "encoder")
    (checkpoint / MARKER).unlink()  # an exported encoder
    check_encoder(checkpoint / "encoder")
