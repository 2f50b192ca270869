"""Bytes of a store that change after it was built."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.data.rank_batch import RankBatch, RankBatches
from distributed_hbt.data.store import Store, open_store
from distributed_hbt.data.store.columns import TokenColumn, load_table
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import DataError
from distributed_hbt.train.assembly import build_batches
from distributed_hbt.train.prepared import make_plan, prepare
from tests.distributed.run_for_tests import write_run

ARROW = "data-00000-of-00001.arrow"
STEP = 3


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run file and its store."""
    run_file = write_run(tmp_path_factory.mktemp("damaged"))
    return run_file, prepare(load_run(run_file)).store.folder


@pytest.fixture
def run_file(built: tuple[Path, Path]) -> Path:
    return built[0]


@pytest.fixture
def store(built: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(built[1], tmp_path / "store"))


def batches(run_file: Path, folder: Path, rank: int, world_size: int, *options: str) -> RankBatches:
    config, opened = load_run(run_file, options), open_store(folder)
    return build_batches(config, Ranks(rank, world_size, rank), opened, make_plan(config, opened))


def flip(file: Path, at: int, bit: int = 0) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1 << bit
    file.write_bytes(content)


def flip_in(file: Path, found: bytes) -> None:
    """One bit in the middle of bytes that stand there once."""
    content = file.read_bytes()
    assert content.count(found) == 1
    flip(file, content.index(found) + len(found) // 2)


def some_row(run_file: Path, folder: Path, part: str) -> tuple[str, bytes]:
    """file:line of a row of the step's batch, and the tokens of its query or positive."""
    opened, batch = open_store(folder), batches(run_file, folder, 0, 1).batch(STEP)
    query = int(batch.global_query_entries[5])
    if part == "queries":
        return opened.where(query), opened.query_tokens(query).tobytes()
    positive = int(batch.own_BP[5][0])
    return opened.where(query), batch.sequences[len(batch.query_entries) + positive].tobytes()


@pytest.mark.parametrize("part", ["queries", "passages"])
def test_flipped_bit_of_a_text_ends_all_ranks_with_the_row(run_file: Path, store: Path, part: str) -> None:
    """Training on what no text says; ranks of which only one notices, and the others wait for it."""
    where, tokens = some_row(run_file, store, part)
    flip_in(store / part / ARROW, tokens)
    errors = []
    for rank, world_size in ((0, 1), (0, 4), (3, 4)):
        with pytest.raises(DataError) as caught:
            batches(run_file, store, rank, world_size).batch(STEP)
        errors.append(str(caught.value))
    assert len(set(errors)) == 1
    assert errors[0].startswith(f"{where}: its {'query' if part == 'queries' else 'passage'} ")
    assert f"is damaged in the store {store} (its tokens are not those that were written); " in errors[0]
    assert errors[0].endswith("or set data.damaged_rows: skip")


def test_flipped_bit_of_an_offset_is_found(run_file: Path, store: Path) -> None:
    """Two texts that are cut at another place, or one that has swallowed all that follow."""
    column = TokenColumn(load_table(store / "queries"))
    offsets = column._offsets[0].tobytes()
    batch = batches(run_file, store, 0, 1).batch(STEP)
    query = int(batch.global_query_entries[0])
    del column
    file = store / "queries" / ARROW
    content = file.read_bytes()
    assert content.count(offsets) == 1
    for bit in (0, 24):
        flip(file, content.index(offsets) + 4 * query + (bit >= 24) * 3, bit % 8)
        opened = open_store(store)
        assert not opened.holds_query(query)
        with pytest.raises(DataError, match=r"its query is damaged"):
            batches(run_file, store, 0, 1).batch(STEP)
        file.write_bytes(content)
    assert open_store(store).holds_query(query)


def whole(parts: list[RankBatch]) -> list[int]:
    return sorted(int(query) for part in parts for query in part.query_entries)


def test_skipped_row_is_replaced_by_the_next_for_every_number_of_ranks(
    run_file: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A batch that shrinks, or that depends on who reads it; other steps that change with it."""
    clean = batches(run_file, store, 0, 1)
    expected = {step: clean.batch(step).global_query_entries.tolist() for step in range(6)}
    where, tokens = some_row(run_file, store, "queries")
    flip_in(store / "queries" / ARROW, tokens)
    rows = expected[STEP]
    replaced = [*rows[:5], rows[6], *rows[6:]]
    caplog.set_level(logging.WARNING)
    for world_size in (1, 2, 4):
        ranks = [
            batches(run_file, store, rank, world_size, "data.damaged_rows=skip") for rank in range(world_size)
        ]
        for _ in range(2):  # the first time and after a resume
            parts = [one.batch(STEP) for one in ranks]
            assert all(part.global_query_entries.tolist() == replaced for part in parts)
            assert whole(parts) == sorted(replaced)
            assert {len(part.query_entries) for part in parts} == {len(rows) // world_size}
        for step, queries in expected.items():
            if rows[5] not in queries:
                assert ranks[0].batch(step).global_query_entries.tolist() == queries
    named = [record.message for record in caplog.records if "is damaged" in record.message]
    assert named == [f"{where}: its query is damaged in the store {store}; the row is left out"] * 3


def test_last_row_is_replaced_by_the_first_and_a_batch_without_any_ends(run_file: Path, store: Path) -> None:
    """A replacement from beyond the batch; a batch of nothing."""
    opened = open_store(store)
    rows = batches(run_file, store, 0, 1).batch(STEP).global_query_entries.tolist()
    tokens = [opened.query_tokens(query).tobytes() for query in rows]
    file = store / "queries" / ARROW
    for one in tokens[-2:]:
        flip_in(file, one)
    found = batches(run_file, store, 0, 1, "data.damaged_rows=skip").batch(STEP)
    assert found.global_query_entries.tolist() == [*rows[:-2], rows[0], rows[0]]
    for one in tokens[:-2]:
        flip_in(file, one)
    with pytest.raises(DataError, match="so are all other rows of a batch"):
        batches(run_file, store, 0, 1, "data.damaged_rows=skip").batch(STEP)


@pytest.mark.parametrize("name", ["query_group", "positive_values", "negative_scores", "passage_checksums"])
def test_flipped_bit_of_the_index_is_found_when_the_store_is_opened(store: Path, name: str) -> None:
    """Another text taken for the answer: nothing would ever tell."""
    path = store / "index" / f"{name}.npy"
    flip(path, len(path.read_bytes()) - 3)
    with pytest.raises(DataError) as caught:
        open_store(store)
    assert str(caught.value) == (
        f"{path}: is damaged: its bytes are not those that were written; delete the store, it is built anew"
    )


def test_damaged_checksums_are_said_to_be(store: Path) -> None:
    """A traceback, or a store that is taken for one without checksums."""
    file = store / "index/checksums.json"
    file.write_text("{" + " " * (file.stat().st_size - 1))
    with pytest.raises(DataError, match=r"checksums\.json: is damaged: can not be read"):
        open_store(store)


def test_store_of_an_older_version_is_read_and_said_to_be_unprotected(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An upgrade after which a run can not be resumed, since its store was built before."""
    older = store / "index"
    sizes = json.loads((store / "COMPLETE").read_text())
    for name in ("checksums.json", "query_checksums.npy", "passage_checksums.npy"):
        (older / name).unlink()
        del sizes[f"index/{name}"]
    (store / "COMPLETE").write_text(json.dumps(sizes))
    opened = open_store(store)
    assert opened.holds_query(0)
    assert opened.holds_passage(0)
    assert "before stores had checksums" in caplog.text


def test_every_row_has_the_checksum_of_its_tokens(store: Path) -> None:
    """Checksums shifted against their rows at the border of a record batch."""
    opened: Store = open_store(store)
    assert all(opened.holds_query(query) for query in range(len(opened.query_lengths)))
    assert all(opened.holds_passage(passage) for passage in range(len(opened.passage_lengths)))
    distinct = np.load(store / "index/query_checksums.npy")
    assert len(np.unique(distinct)) == len(distinct)
