"""Shards of a store: what is written is read, and nothing else is."""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.errors import ConfigError, WorkerFailed
from distributed_hbt.evaluation.embedding_store import (
    Codes,
    EmbeddingStore,
    Int8Codes,
    PrefixCodes,
    open_shard,
    rounded,
    stored_shard,
    write_shard,
)
from distributed_hbt.evaluation.embedding_store.rounding import Dtype, Floats
from tests.embedding_stores import store_in, unit_vectors

DOC_IDS = [f"doc#{row}" for row in range(100)]
CODES: list[Codes] = [Int8Codes(), PrefixCodes(4, True, "float16")]


def code_rows(store: EmbeddingStore, index: int = 0) -> Floats:
    shard = open_shard(store, index)
    assert shard is not None
    return np.concatenate([block for _, block in shard.code_blocks()])


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_read_gives_exactly_the_rounded_values(tmp_path: Path, dtype: Dtype) -> None:
    """Catches a search that sees other values on the first evaluation than on those that reuse the store."""
    store = store_in(tmp_path, dtype=dtype)
    embedding_ND = unit_vectors(100)
    write_shard(store, 0, DOC_IDS, embedding_ND)
    shard = open_shard(store, 0)
    assert shard is not None
    expected_ND = rounded(embedding_ND, dtype)
    np.testing.assert_array_equal(shard.embeddings(), expected_ND)
    np.testing.assert_array_equal(shard.embeddings(30, 40), expected_ND[30:40])
    rows = np.array([99, 0, 42, 42])
    np.testing.assert_array_equal(shard.embeddings_of(rows), expected_ND[rows])
    assert shard.embeddings().dtype == np.float32
    assert (shard.num_rows, shard.dimension, shard.doc_ids) == (100, 16, tuple(DOC_IDS))
    assert (expected_ND != embedding_ND).any() == (dtype != "float32")


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_shard_of_many_blocks_is_read_in_order(tmp_path: Path, dtype: Dtype) -> None:
    """Catches a block that is written or read at the wrong place, and a last one that is lost."""
    store = store_in(tmp_path, Int8Codes(), dtype=dtype, dimension=64)
    embedding_ND = unit_vectors(140_000, 64)
    write_shard(store, 0, [str(row) for row in range(140_000)], embedding_ND)
    shard = open_shard(store, 0)
    assert shard is not None
    blocks = list(shard.blocks())
    assert [start for start, _ in blocks] == [0, 65536, 131072]
    expected_ND = rounded(embedding_ND, dtype)
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), expected_ND)
    codes = np.concatenate([block for _, block in shard.code_blocks()])
    np.testing.assert_array_equal(codes, Int8Codes().unpack(Int8Codes().pack(expected_ND)))


@given(doc_ids=st.lists(st.text(), min_size=1, max_size=20))
def test_any_doc_ids_come_back(tmp_path_factory: pytest.TempPathFactory, doc_ids: list[str]) -> None:
    """Catches ids that are cut by bytes of several, empty ones, and ones with a separator in them."""
    _ids_come_back(tmp_path_factory.mktemp("ids"), doc_ids)


def test_doc_ids_that_are_no_utf8_come_back(tmp_path: Path) -> None:
    """Catches a lone surrogate, which JSON may hold, that ends the evaluation with a traceback."""
    _ids_come_back(tmp_path, ["a", "\ud800", "中文#1", ""])


def _ids_come_back(folder: Path, doc_ids: Sequence[str]) -> None:
    store = store_in(folder)
    write_shard(store, 0, doc_ids, unit_vectors(len(doc_ids)))
    shard = open_shard(store, 0)
    assert shard is not None
    assert list(shard.doc_ids) == list(doc_ids)


@pytest.mark.parametrize("codes", [None, *CODES])
def test_the_same_shard_has_the_same_bytes(tmp_path: Path, codes: Codes | None) -> None:
    """Catches a time, a process id or uninitialised memory in the files."""
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        store = store_in(folder, codes)
        write_shard(store, 2, DOC_IDS, unit_vectors(100))
        assert open_shard(store, 2) is not None
        contents.append({path.name: path.read_bytes() for path in store.folder.iterdir()})
    assert len(contents[0]) == (2 if codes is None else 3)
    assert contents[0] == contents[1]


def test_a_shard_that_is_not_there_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Catches a warning about damage on every first evaluation."""
    assert open_shard(store_in(tmp_path), 0) is None
    assert caplog.text == ""


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
@pytest.mark.parametrize("codes", [None, *CODES])
def test_a_damaged_shard_is_not_used(
    tmp_path: Path, codes: Codes | None, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches wrong neighbours from a file that a full or failing disk left."""
    store = store_in(tmp_path, codes)
    write_shard(store, 0, DOC_IDS, unit_vectors(100))
    assert open_shard(store, 0) is not None
    path = store.embeddings_path(0)
    whole = path.read_bytes()
    path.write_bytes({"flipped": _flipped(whole), "cut": whole[:-1], "emptied": b""}[damage])
    assert open_shard(store, 0) is None
    assert f"{path} " in caplog.text
    assert "it is not used but made anew" in caplog.text


def _flipped(content: bytes) -> bytes:
    return content[:-50] + bytes([content[-50] ^ 1]) + content[-49:]


def test_a_shard_at_another_ones_place_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Catches a shard that was copied to another number, or from the store of another encoder."""
    store, other = store_in(tmp_path), store_in(tmp_path, encoder_fingerprint="other")
    write_shard(store, 0, DOC_IDS, unit_vectors(100))
    shutil.copy(store.embeddings_path(0), store.embeddings_path(1))
    assert open_shard(store, 1) is None
    assert "belongs elsewhere (index is 0, not 1)" in caplog.text
    shutil.copy(store.embeddings_path(0), other.embeddings_path(0))
    assert open_shard(other, 0) is None
    assert f"store is {store.identity.digest}, not {other.identity.digest}" in caplog.text


@pytest.mark.parametrize("codes", CODES)
def test_codes_of_a_store_without_are_made_from_its_embeddings(tmp_path: Path, codes: Codes) -> None:
    """Catches a corpus that is encoded again for its codes, and codes that are made at every opening."""
    write_shard(store_in(tmp_path), 0, DOC_IDS, unit_vectors(100))
    store = store_in(tmp_path, codes)
    expected = codes.unpack(codes.pack(rounded(unit_vectors(100), "float16")))
    np.testing.assert_array_equal(code_rows(store), expected)
    written = store.codes_path(0, codes).stat()
    np.testing.assert_array_equal(code_rows(store), expected)
    assert store.codes_path(0, codes).stat().st_ino == written.st_ino


@pytest.mark.parametrize("damage", ["flipped", "missing", "of other embeddings"])
@pytest.mark.parametrize("codes", CODES)
def test_codes_that_do_not_belong_to_the_embeddings_are_made_anew(
    tmp_path: Path, codes: Codes, damage: str
) -> None:
    """Catches candidates from codes of embeddings that are no longer there."""
    store = store_in(tmp_path, codes)
    write_shard(store, 0, DOC_IDS, unit_vectors(100))
    expected = code_rows(store)
    path = store.codes_path(0, codes)
    match damage:
        case "flipped":
            path.write_bytes(_flipped(path.read_bytes()))
        case "missing":
            path.unlink()
        case _:
            write_shard(store, 0, DOC_IDS, unit_vectors(100, seed=1))
            expected = codes.unpack(codes.pack(rounded(unit_vectors(100, seed=1), "float16")))
    np.testing.assert_array_equal(code_rows(store), expected)
    np.testing.assert_array_equal(code_rows(store), expected)


def test_a_value_beyond_float16_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Catches infinity on disk, which scores infinity or NaN."""
    store = store_in(tmp_path)
    embedding_ND = unit_vectors(100)
    embedding_ND[70, 3] = -1e5
    with pytest.raises(ConfigError, match="and an embedding has 100000; set it to bfloat16 or float32"):
        write_shard(store, 0, DOC_IDS, embedding_ND)
    assert [path.name for path in store.folder.iterdir()] == ["manifest.json"]


def test_a_whole_shard_is_not_encoded_again(tmp_path: Path) -> None:
    """Catches a store that is written and never read; and a damaged shard that stays so."""
    store, calls = store_in(tmp_path, Int8Codes()), []

    def encode() -> tuple[list[str], Floats]:
        calls.append(0)
        return DOC_IDS, unit_vectors(100)

    for expected_calls in (1, 1):
        assert stored_shard(store, 0, encode).doc_ids == tuple(DOC_IDS)
        assert len(calls) == expected_calls
    store.embeddings_path(0).write_bytes(b"")
    assert stored_shard(store, 0, encode).doc_ids == tuple(DOC_IDS)
    assert len(calls) == 2
    assert open_shard(store, 0) is not None


WRITER = """
import sys
from pathlib import Path
import numpy as np
from distributed_hbt.evaluation.embedding_store import Int8Codes, open_shard, write_shard
from tests.embedding_stores import store_in
store, value = store_in(Path(sys.argv[1]), Int8Codes()), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(60):
    write_shard(store, 0, [f"{value}-{row}" for row in range(100)], np.full((100, 16), value, np.float32))
    assert open_shard(store, 0) is not None
"""


def test_two_processes_write_the_same_shard(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Catches a file of two writers, a reader that sees half of one, codes of the other's embeddings."""
    store = store_in(tmp_path, Int8Codes())
    root = Path(__file__).resolve().parents[4]
    commands = [[sys.executable, "-c", WRITER, str(tmp_path), str(value)] for value in (1, 2)]
    writers = [
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for command in commands
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen = set()
    while any(writer.poll() is None for writer in writers):
        seen.add(_whole(store))
    assert [writer.wait() for writer in writers] == [0, 0]
    assert _whole(store) in {1, 2}
    assert seen - {None} <= {1, 2}
    assert "damaged" not in caplog.text
    assert "checksum" not in caplog.text
    for writer in writers:
        writer.communicate()
    assert not list(store.folder.glob("*.partial-*"))


def _whole(store: EmbeddingStore) -> int | None:
    shard = open_shard(store, 0)
    if shard is None:
        return None
    (value,) = np.unique(shard.embeddings()).tolist()
    assert shard.doc_ids == tuple(f"{int(value)}-{row}" for row in range(100))
    ((_, code_ND),) = shard.code_blocks()
    np.testing.assert_allclose(code_ND, value, rtol=1e-6)
    return int(value)


STOPPED = """
import sys
from pathlib import Path
from distributed_hbt.evaluation.embedding_store import shard, rounding, write_shard
from tests.embedding_stores import store_in, unit_vectors
rounding._BLOCK_BYTES = 1 << 16
to_stored, blocks = shard.to_stored, []

def stops_in_the_middle(embedding_ND, dtype):
    blocks.append(0)
    if len(blocks) == 50:
        print("middle", flush=True)
        sys.stdin.readline()
    return to_stored(embedding_ND, dtype)

shard.to_stored = stops_in_the_middle
write_shard(store_in(Path(sys.argv[1])), 0, [str(row) for row in range(100_000)], unit_vectors(100_000))
"""


def test_a_writer_that_is_killed_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    """Catches a shard that is written under its own name."""
    store = store_in(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[4],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "middle\n"
    writer.kill()
    writer.communicate()
    (left,) = store.folder.glob("shard-*")
    assert ".partial-" in left.name
    assert left.stat().st_size > 1 << 20
    assert open_shard(store, 0) is None
    write_shard(store, 0, DOC_IDS, unit_vectors(100))
    shard = open_shard(store, 0)
    assert shard is not None
    assert shard.num_rows == 100


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this process may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip("this process may not mount a file system")
    yield folder
    assert libc.umount2(bytes(folder), 2) == 0


def test_a_full_disk_is_one_clear_error(small_disk: Path) -> None:
    """Catches a traceback, a partial file that keeps the disk full, and one that is taken for whole."""
    store = store_in(small_disk)
    with pytest.raises(WorkerFailed) as caught:
        write_shard(store, 0, [str(row) for row in range(100_000)], unit_vectors(100_000))
    path = store.embeddings_path(0)
    assert str(caught.value) == (
        f"{path}: can not be written (No space left on device); free some space, then start again to go on"
    )
    assert [path.name for path in store.folder.iterdir()] == ["manifest.json"]
    assert open_shard(store, 0) is None
    write_shard(store, 0, DOC_IDS, unit_vectors(100))
    assert open_shard(store, 0) is not None


def test_a_disk_that_is_full_at_any_point_leaves_whole_files_only(small_disk: Path) -> None:
    """Catches an error at the last bytes, or when a file is closed, that is swallowed; codes without end."""
    outcomes = set()
    for rows in range(15_000, 29_000, 500):
        store, error = store_in(small_disk, Int8Codes()), None
        try:
            write_shard(store, 0, ["x"] * rows, unit_vectors(rows))
            open_shard(store, 0)
        except WorkerFailed as full:
            error = str(full)
        names = {path.name.split(".")[1] for path in store.folder.glob("shard-*")}
        assert (error is None) == (names == {"embeddings", "int8"})
        assert error is None or "No space left on device" in error
        outcomes.add(frozenset(names))
        shard = open_shard(store_in(small_disk), 0)
        assert (shard is not None) == ("embeddings" in names)
        if shard is not None:
            np.testing.assert_array_equal(shard.embeddings(), rounded(unit_vectors(rows), "float16"))
        shutil.rmtree(store.folder)
    assert outcomes == {frozenset(), frozenset({"embeddings"}), frozenset({"embeddings", "int8"})}


RESIDENT = """
import sys
from pathlib import Path
from distributed_hbt.evaluation.embedding_store import open_shard, write_shard
from tests.embedding_stores import store_in, unit_vectors

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile")))

store = store_in(Path(sys.argv[1]), dimension=256)
write_shard(store, 0, [str(row) for row in range(200_000)], unit_vectors(200_000, 256))
open_shard(store, 0)
before = resident()
shard = open_shard(store, 0)
shard.embeddings(100_000, 100_016)
print(shard.stored.nbytes // 1024, resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_reading_a_block_does_not_read_the_shard(tmp_path: Path) -> None:
    """Catches a shard of a large corpus that is held in memory by whoever opens it."""
    done = subprocess.run(
        [sys.executable, "-c", RESIDENT, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[4],
        capture_output=True,
        text=True,
        check=True,
    )
    whole, grown = map(int, done.stdout.split())
    assert whole == 100_000
    assert grown < whole / 10
