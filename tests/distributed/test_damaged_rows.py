"""A row that is damaged while ranks train on it."""

import json
from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.data.store import open_store
from distributed_hbt.train.prepared import prepare
from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import write_run, zero_overrides


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one bit of a query that the second step trains on turned in its store."""
    file = write_run(tmp_path_factory.mktemp("damaged"))
    prepared = prepare(load_run(file))
    tokens = prepared.store.query_tokens(int(prepared.plan.batch(1).queries[0])).tobytes()
    arrow = prepared.store.folder / "queries" / "data-00000-of-00001.arrow"
    content = bytearray(arrow.read_bytes())
    content[content.index(tokens)] ^= 1
    arrow.write_bytes(content)
    return file


def test_all_ranks_end_with_the_row(pools: dict[int, RankPool], run_file: Path) -> None:
    """One rank that ends, and others that wait for it."""
    with pytest.raises(RuntimeError) as caught:
        pools[2].run("train_until", str(run_file), [*zero_overrides(2), "name=ends"], None)
    named = [line for line in str(caught.value).splitlines() if "errors.DataError" in line]
    assert len(named) == 2
    assert len(set(named)) == 1
    assert f"{run_file.parent}/train.jsonl:" in named[0]
    assert ": its query is damaged in the store " in named[0]


def test_left_out_row_is_left_out_alike_by_any_number_of_ranks_and_after_a_resume(
    pools: dict[int, RankPool], run_file: Path
) -> None:
    """Losses that depend on who read the row, or on where the run was stopped."""
    options = [*zero_overrides(2), "data.damaged_rows=skip"]
    whole = pools[2].run("train_until", str(run_file), [*options, "name=whole"], None)[0]
    assert [step for step, _ in whole] == list(range(1, 11))
    first = pools[2].run("train_until", str(run_file), [*options, "name=stopped"], 7)[0]
    second = pools[2].run("train_until", str(run_file), [*options, "name=stopped"], None)[0]
    assert [*first[:5], *second] == whole
    alone = pools[1].run("train_until", str(run_file), [*options, "name=alone"], None)[0]
    assert [loss for _, loss in alone] == pytest.approx([loss for _, loss in whole], abs=1e-5)
    state = json.loads((run_file.parent / "runs/whole/checkpoints/step-00000010/state.json").read_text())
    assert state["store"] == open_store(run_file.parent / "runs/stores" / state["store"]).fingerprint
