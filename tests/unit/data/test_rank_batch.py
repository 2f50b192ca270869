"""What a rank gets of a global batch, on a real store."""

from pathlib import Path

import numpy as np
import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.rank_batch import RankBatch, RankBatches
from distributed_hbt.data.rows import draw_rows
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.train.assembly import build_batches
from distributed_hbt.train.prepared import Prepared, prepare
from tests.distributed.run_for_tests import write_run


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("rank_batch"))


def batches(run_file: Path, prepared: Prepared, rank: int, world_size: int, *options: str) -> RankBatches:
    config = load_run(run_file, options)
    return build_batches(config, Ranks(rank, world_size, rank), prepared.store, prepared.plan)


@pytest.fixture(scope="module")
def prepared(run_file: Path) -> Prepared:
    return prepare(load_run(run_file))


def texts_of(prepared: Prepared, batch: RankBatch) -> list[str]:
    return [prepared.texts.tokenizer.decode(tokens.tolist()) for tokens in batch.sequences]


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
def test_ranks_share_the_global_batch_whatever_their_number(
    run_file: Path, prepared: Prepared, world_size: int
) -> None:
    """Rows that two ranks have, or none; token counts that depend on who counts."""
    whole = batches(run_file, prepared, 0, 1).batch(3)
    parts = [batches(run_file, prepared, rank, world_size).batch(3) for rank in range(world_size)]
    rows = sorted(int(entry) for part in parts for entry in part.query_entries)
    assert rows == sorted(whole.query_entries.tolist())
    assert sorted(t for part in parts for t in texts_of(prepared, part)) == sorted(texts_of(prepared, whole))
    assert {(part.real_tokens, part.padded_tokens) for part in parts} == {
        (whole.real_tokens, parts[0].padded_tokens)
    }
    assert {part.passage_counts for part in parts} == {parts[0].passage_counts}
    assert {len(part.chunks) for part in parts} == {len(parts[0].chunks)}


def test_columns_point_at_the_row_s_own_positive_and_mask_its_other_known_ones(
    run_file: Path, prepared: Prepared
) -> None:
    """Targets shifted by the passages of the ranks before; a paragraph that two questions share, or its
    translation, pushed away by both."""
    parts = [batches(run_file, prepared, rank, 2).batch(5) for rank in range(2)]
    columns = [t for part in parts for t in texts_of(prepared, part)[len(part.query_entries) :]]
    assert len(set(columns)) == len(columns)
    masked = 0
    for part in parts:
        excluded = {tuple(pair) for pair in part.passages.excluded_2E.T.tolist()}
        for i, entry in enumerate(part.query_entries):
            group = int(prepared.store.index.query_group[entry])
            known = {
                prepared.texts.tokenizer.decode(prepared.store.passage_tokens(int(p)).tolist())
                for p in prepared.store.group_positives(group)
            }
            target = int(part.passages.target_B[i])
            assert columns[target] in known
            expected = {(i, j) for j, text in enumerate(columns) if text in known and j != target}
            assert {pair for pair in excluded if pair[0] == i} == expected
            masked += len(expected)
    assert masked > 0


def test_every_passage_is_encoded_once_and_belongs_to_all_rows_that_have_it(
    run_file: Path, prepared: Prepared
) -> None:
    """A paragraph of two questions encoded twice, by one rank or by two; a row that loses its passage to the
    rank that encodes it."""
    options = ("train.global_batch_size=32", "sampling.strategy=x_x_mono", "data.num_hard_negatives=3")
    config = load_run(run_file, options)
    whole = BatchPlan(prepared.store.index, config.sampling, 32, config.seed)
    parts = [build_batches(config, Ranks(rank, 4, rank), prepared.store, whole).batch(1) for rank in range(4)]
    rows = draw_rows(prepared.store, whole.batch(1), seed=config.seed, num_hard_negatives=3)
    tokens_of = {int(q): i for i, q in enumerate(rows.query_B)}
    columns = [tuple(s.tolist()) for part in parts for s in part.sequences[len(part.query_entries) :]]
    assert len(set(columns)) == len(columns)
    repeated = 0
    for part in parts:
        assert part.passages.target_B.tolist() == part.own_BP[:, 0].tolist()
        for entry, own in zip(part.query_entries.tolist(), part.own_BP.tolist(), strict=True):
            drawn = rows.passage_BP[tokens_of[entry]]
            for passage, column in zip(drawn.tolist(), own, strict=True):
                if passage < 0:
                    assert column == -1
                else:
                    assert columns[column] == tuple(prepared.store.passage_tokens(passage).tolist())
                    repeated += len(columns[column])
    saved = repeated - sum(map(len, columns))
    assert saved > 0
    assert {part.repeated_tokens for part in parts} == {saved}
    tokens = [sum(map(len, part.sequences)) for part in parts]
    assert max(tokens) - min(tokens) <= max(map(len, columns))


def test_hard_negatives_are_drawn_anew_and_never_known_positives(run_file: Path, prepared: Prepared) -> None:
    """More hard negatives than asked for; the same ones at every visit."""
    drawn = set()
    for step in range(40):
        batch = batches(run_file, prepared, 0, 1, "data.num_hard_negatives=1").batch(step)
        rows = len(batch.query_entries)
        assert batch.own_BP.shape == (rows, 2)
        for entry, negative in zip(batch.query_entries, batch.own_BP[:, 1].tolist(), strict=True):
            drawn.add((int(entry), tuple(batch.sequences[rows + negative].tolist())))
    per_query = np.unique([entry for entry, _ in drawn], return_counts=True)[1]
    assert per_query.max() > 1


def test_batch_is_a_function_of_the_step(run_file: Path, prepared: Prepared) -> None:
    """A batch that depends on which batches were asked for before."""
    straight = [batches(run_file, prepared, 0, 2).batch(step) for step in (0, 1, 2)]
    back = batches(run_file, prepared, 0, 2)
    for batch in reversed(straight):
        again = back.batch(batch.step)
        assert texts_of(prepared, again) == texts_of(prepared, batch)


def test_without_padding_the_tokens_encoded_are_the_real_ones(run_file: Path, prepared: Prepared) -> None:
    """Padding reported where there is none, or chunks cut as if there were."""
    padded = batches(run_file, prepared, 0, 1).batch(3)
    free = batches(run_file, prepared, 0, 1, "model.padding_free=true").batch(3)
    assert padded.padded_tokens > padded.real_tokens
    assert free.padded_tokens == free.real_tokens == padded.real_tokens
    assert len(free.chunks) < len(padded.chunks)
    assert sorted(np.concatenate(free.chunks).tolist()) == list(range(len(free.sequences)))
