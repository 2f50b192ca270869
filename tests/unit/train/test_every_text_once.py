"""A passage that several rows share stands once among the columns: the loss is the row-by-row one."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from distributed_hbt.config.load import load_run
from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.data.rows import Rows, draw_rows
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.losses.objective import GlobalEmbeddings, Objective, contrastive_loss
from distributed_hbt.train.assembly import build_batches
from distributed_hbt.train.inputs import InputMaker, StepInputs
from distributed_hbt.train.prepared import Prepared, prepare
from tests.distributed.run_for_tests import write_run

TEMPERATURE, DIMENSION = 0.1, 8
OPTIONS = ["train.global_batch_size=32", "data.num_hard_negatives=3", "sampling.strategy=x_x_mono"]


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("shared"))


def batch_and_rows(run_file: Path, *options: str) -> tuple[StepInputs, Rows, Prepared]:
    config = load_run(run_file, [*OPTIONS, *options])
    prepared = prepare(config)
    batches = build_batches(config, Ranks(0, 1, 0), prepared.store, prepared.plan)
    maker = InputMaker(batches, prepared.texts, seed=13, rank=0, block_size=7, device=torch.device("cpu"))
    rows = draw_rows(prepared.store, prepared.plan.batch(1), seed=13, num_hard_negatives=3)
    return maker.make(1), rows, prepared


def row_by_row_loss(
    vectors: list[torch.Tensor], batch: RankBatch, rows: Rows, prepared: Prepared, *, hard_only: bool
) -> torch.Tensor:
    """Every row brings its own passages, shared or not; a duplicate is masked. vectors[0] are those of the
    queries, by entry, vectors[1] those of the passages, by number."""
    place = {int(query): i for i, query in enumerate(rows.query_B)}
    every = [(int(p), k > 0) for row in rows.passage_BP.tolist() for k, p in enumerate(row) if p >= 0]
    losses = []
    for query in batch.query_entries.tolist():
        i = place[query]
        positive = int(rows.passage_BP[i, 0])
        known = set(prepared.store.group_positives(int(rows.group_B[i])).tolist())
        hard = {passage for passage, is_negative in every if is_negative}
        seen: set[int] = set()
        masked = []
        for passage, _ in every:
            left_out = passage in known or passage in seen or (hard_only and passage not in hard)
            masked.append(left_out)
            seen.add(passage)
        scores = torch.stack([vectors[0][query] @ vectors[1][p] for p, _ in every]) / TEMPERATURE
        own = vectors[0][query] @ vectors[1][positive] / TEMPERATURE
        kept = torch.cat([own[None], scores.masked_fill(torch.tensor(masked), -math.inf)])
        losses.append(-kept.log_softmax(0)[0])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("loss", ["info_nce", "printed"])
def test_loss_equals_the_row_by_row_one_with_masked_duplicates(run_file: Path, loss: str) -> None:
    """A shared negative that counts twice or not at all, a passage that is one row's positive and another's
    hard negative masked for both."""
    inputs, rows, prepared = batch_and_rows(run_file, f"train.loss={loss}")
    batch, store = inputs.batch, prepared.store
    generator = torch.Generator().manual_seed(1)
    sizes = (len(store.query_lengths), len(store.passage_lengths))
    vectors = [
        torch.nn.functional.normalize(
            torch.randn(n, DIMENSION, generator=generator, dtype=torch.float64), dim=1
        )
        for n in sizes
    ]
    passages = np.unique(rows.passage_BP[rows.passage_BP >= 0])
    assert len(passages) < (rows.passage_BP >= 0).sum()
    leaves = [v.requires_grad_() for v in vectors]
    query_BD = leaves[0][torch.from_numpy(batch.query_entries)]
    passage_ND = leaves[1][torch.from_numpy(passages)]
    assert [tuple(s) for s in batch.sequences[inputs.rows :]] == [
        tuple(store.passage_tokens(int(p))) for p in passages
    ]
    objective = Objective(TEMPERATURE, symmetric=False, dimensions=(), normalize=True)
    mine = contrastive_loss(GlobalEmbeddings(query_BD, passage_ND, None), inputs, objective)
    other = row_by_row_loss(leaves, batch, rows, prepared, hard_only=loss == "printed")
    assert mine.item() == pytest.approx(other.item(), abs=1e-9)
    for ours, theirs in zip(
        torch.autograd.grad(mine, leaves), torch.autograd.grad(other, leaves), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
