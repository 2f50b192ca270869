"""Files with a checksum."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from distributed_hbt.evaluation.embedding_store import tensor_file
from distributed_hbt.evaluation.embedding_store.rounding import Dtype, stored_dtype, to_stored
from distributed_hbt.evaluation.embedding_store.tensor_file import (
    Damaged,
    Tensor,
    open_tensors,
    write_tensors,
)

EMBEDDING = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def written(folder: Path, dtype: Dtype = "float16") -> Path:
    path = folder / "a.safetensors"
    stored = to_stored(EMBEDDING, dtype)
    blocks = (stored[start : start + 2] for start in range(0, 5, 2))
    ids = Tensor.of(np.frombuffer(b"odd", np.uint8))
    tensors = {"ids": ids, "embedding": Tensor(stored_dtype(dtype), (5, 3), blocks)}
    write_tensors(path, {"index": "7"}, tensors | {"starts": Tensor.of(np.arange(6))})
    return path


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_other_programs_read_the_file(tmp_path: Path, dtype: Dtype) -> None:
    """Catches a file that only this project could read, and bits that mean something else to others."""
    path = written(tmp_path, dtype)
    found = load_file(path)
    expected = torch.from_numpy(EMBEDDING).to(getattr(torch, dtype))
    assert torch.equal(found["embedding"], expected)
    assert found["starts"].tolist() == list(range(6))
    with safe_open(path, "pt") as file:
        assert file.metadata()["index"] == "7"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Catches blocks in another order, and arrays that begin at each other's offsets."""
    file = open_tensors(written(tmp_path))
    np.testing.assert_array_equal(file.arrays["embedding"], EMBEDDING.astype(np.float16))
    assert file.arrays["ids"].tobytes() == b"odd"
    assert file.arrays["starts"].tolist() == list(range(6))
    assert file.metadata["index"] == "7"
    assert all(array.flags.aligned and not array.flags.writeable for array in file.arrays.values())


def test_a_change_of_any_byte_is_found(tmp_path: Path) -> None:
    """Catches a part of the file that no checksum covers: header, its padding, its length, data."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0x29):
            changed = bytearray(whole)
            changed[place] ^= flip
            path.write_bytes(changed)
            with pytest.raises(Damaged):
                open_tensors(path)


def test_a_file_of_another_length_is_found(tmp_path: Path) -> None:
    """Catches a file that was cut anywhere, also to nothing, or to which something was added."""
    path = written(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged):
            open_tensors(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(Damaged, match=f"has {len(whole) + 1} bytes, not {len(whole)}"):
        open_tensors(path)


def test_two_exchanged_rows_are_found(tmp_path: Path) -> None:
    """Catches a checksum that does not see the order of what it sums."""
    path = written(tmp_path)
    whole = path.read_bytes()
    start = whole.index(EMBEDDING.astype(np.float16).tobytes())
    one, other = whole[start : start + 6], whole[start + 6 : start + 12]
    assert one != other
    path.write_bytes(whole[:start] + other + one + whole[start + 12 :])
    with pytest.raises(Damaged, match="checksum"):
        open_tensors(path)


@pytest.mark.parametrize(
    "text",
    [b"[]", b"{}", b'{"__metadata__":{}}', b'{"__metadata__":[]}', b'{"a":1,"__metadata__":{}}', b"\xff"],
)
def test_a_foreign_header_is_damage(tmp_path: Path, text: bytes) -> None:
    """Catches a traceback from a file that someone else put there."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(Damaged, match="header"):
        open_tensors(path)


def test_a_safetensors_file_without_a_checksum_is_damage(tmp_path: Path) -> None:
    """Catches trust in a file that nothing vouches for."""
    from safetensors.numpy import save_file

    save_file({"embedding": EMBEDDING}, tmp_path / "a.safetensors", {"index": "7"})
    with pytest.raises(Damaged):
        open_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize(("number", "expected"), [(errno.EIO, Damaged), (errno.ENOMEM, OSError)])
def test_only_a_failing_disk_is_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception]
) -> None:
    """Catches an evaluation that ends at a bad sector, and whole shards made anew as memory is short.

    (The disk is imitated: there is no failing one.)
    """

    def fails(file: object) -> None:
        raise OSError(number, "from the system")

    path = written(tmp_path)
    monkeypatch.setattr(tensor_file, "_open", fails)
    with pytest.raises(expected, match="from the system"):
        open_tensors(path)
