"""Cached gradients: equal to plain ones in any number of chunks, with dropout, reduced once."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.data.chunks import cut
from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.train.assembly import build_batches
from distributed_hbt.train.prepared import prepare
from tests.distributed.ranks import RankPool
from tests.distributed.reference import Reference, relative_error
from tests.distributed.run_for_tests import zero_overrides as overrides

TOLERANCE = 1e-5
BATCH = "train.global_batch_size=16"
CACHED = (BATCH, "train.gradient=cached")
LORA = "model.lora={rank: 4, alpha: 8}"
DROPOUT = "model.architecture.attention_dropout=0.1"
LORA_DROPOUT = "model.lora={rank: 4, alpha: 8, dropout: 0.1}"


@cache
def expected_gradients(run_file: Path, *options: str) -> dict[str, np.ndarray]:
    """Plain ones, of one process."""
    return Reference(run_file, [BATCH, *options]).gradients()


def batches(run_file: Path, budget: int, world_size: int = 2) -> list[RankBatch]:
    """The first batch of every rank."""
    config = load_run(run_file, [BATCH, f"train.max_tokens_per_chunk={budget}"])
    prepared = prepare(config)
    return [
        build_batches(config, Ranks(rank, world_size, rank), prepared.store, prepared.plan).batch(0)
        for rank in range(world_size)
    ]


@cache
def budget_of(run_file: Path, chunks: int) -> str:
    """The override that cuts the first batch of two ranks into so many chunks each."""
    for budget in range(2000, 20, -10):
        if len(batches(run_file, budget)[0].chunks) == chunks:
            return f"train.max_tokens_per_chunk={budget}"
    raise AssertionError(f"no budget gives {chunks} chunks")


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("lora", [(), (LORA,)], ids=["full", "lora"])
@pytest.mark.parametrize("chunks", [1, 4, 8])
def test_any_number_of_chunks_gives_the_plain_gradient(
    pools: dict[int, RankPool], run_file: Path, stage: int, lora: tuple[str, ...], chunks: int
) -> None:
    """A chunk that is left out, counted twice, or reduced before the others."""
    options = overrides(stage, *CACHED, budget_of(run_file, chunks), *lora)
    for found in pools[2].run("gradients", str(run_file), options):
        assert relative_error(found, expected_gradients(run_file, *lora)) <= TOLERANCE


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize(("reduction", "lora"), [("once", ()), ("by_chunk", (LORA,))])
def test_either_reduction_gives_the_same_gradient(
    pools: dict[int, RankPool], run_file: Path, stage: int, reduction: str, lora: tuple[str, ...]
) -> None:
    """The reduction that is not the default one: `once` is LoRA's, `by_chunk` that of full fine-tuning."""
    options = overrides(stage, *CACHED, budget_of(run_file, 4), f"train.reduce_gradients={reduction}", *lora)
    for found in pools[2].run("gradients", str(run_file), options):
        assert relative_error(found, expected_gradients(run_file, *lora)) <= TOLERANCE


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("options", [(DROPOUT,), (DROPOUT, LORA_DROPOUT)], ids=["full", "lora"])
@pytest.mark.parametrize("chunks", [4, 8])
def test_dropout_is_replayed(
    pools: dict[int, RankPool], run_file: Path, stage: int, options: tuple[str, ...], chunks: int
) -> None:
    """Other neurons dropped in the second forward than in the first: a gradient of another function. Against
    one backward through the same chunks."""
    shared = (BATCH, budget_of(run_file, chunks), *options)
    plain = pools[2].run("gradients", str(run_file), overrides(stage, *shared, "train.gradient=plain"))
    cached = pools[2].run("gradients", str(run_file), overrides(stage, *shared, "train.gradient=cached"))
    for found, expected in zip(cached, plain, strict=True):
        assert relative_error(found, expected) <= TOLERANCE
    undropped = expected_gradients(run_file, *((LORA,) if len(options) > 1 else ()))
    assert relative_error(cached[0], undropped) > 0.01


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("lora", [(), (LORA,)], ids=["full", "lora"])
def test_bfloat16_is_near_the_exact_one(
    pools: dict[int, RankPool], run_file: Path, stage: int, lora: tuple[str, ...]
) -> None:
    """A wrapper of DeepSpeed's for mixed precision that reduces otherwise."""
    shared = (*CACHED, budget_of(run_file, 4), *lora)
    (exact, _) = pools[2].run("losses_and_weights", str(run_file), overrides(stage, *shared), 2)
    options = overrides(stage, *shared, "model.dtype=bfloat16")
    (found, _) = pools[2].run("losses_and_weights", str(run_file), options, 2)
    assert found[0] == pytest.approx(exact[0], rel=2e-2)
    assert found[1] == pytest.approx(exact[1], rel=5e-2)


OTHERS = {
    "symmetric": ("train.symmetric=true",),
    "printed": ("train.loss=printed",),
    "matryoshka": ("model.matryoshka_dimensions=[8, 16]",),
    "checkpointing": ("train.activation_checkpointing=true",),
    "checkpointing-dropout": ("train.activation_checkpointing=true", DROPOUT),
}


@pytest.mark.parametrize("stage", [0, 2, 3])
@pytest.mark.parametrize("name", OTHERS)
def test_other_losses_and_recomputing_give_the_plain_gradient(
    pools: dict[int, RankPool], run_file: Path, stage: int, name: str
) -> None:
    """A direction, a prefix or a recomputed layer that the second forward treats otherwise."""
    shared = (BATCH, budget_of(run_file, 4), *OTHERS[name])
    plain = pools[2].run("gradients", str(run_file), overrides(stage, *shared, "train.gradient=plain"))
    cached = pools[2].run("gradients", str(run_file), overrides(stage, *shared, "train.gradient=cached"))
    for found, expected in zip(cached, plain, strict=True):
        assert relative_error(found, expected) <= TOLERANCE


@pytest.mark.parametrize("stage", [2, 3])
def test_rank_that_would_need_fewer_chunks_runs_as_many(
    pools: dict[int, RankPool], run_file: Path, stage: int
) -> None:
    """A hang: under ZeRO-3 every forward of one rank waits for one of the others."""
    for budget in range(400, 40, -10):
        parts = batches(run_file, budget, world_size=4)
        lengths = [np.array([len(s) for s in part.sequences]) for part in parts]
        if len({len(cut(of_rank, budget)) for of_rank in lengths}) > 1:
            break
    else:
        raise AssertionError("every budget gives all ranks equally many chunks")
    assert len({len(part.chunks) for part in parts}) == 1
    options = overrides(stage, *CACHED, f"train.max_tokens_per_chunk={budget}")
    for found in pools[4].run("gradients", str(run_file), options):
        assert relative_error(found, expected_gradients(run_file)) <= TOLERANCE


@pytest.mark.parametrize("lora", [(), (LORA,)], ids=["full", "lora"])
@pytest.mark.parametrize("gradient", ["plain", "cached"])
def test_no_weight_stays_whole_on_a_rank(
    pools: dict[int, RankPool], run_file: Path, gradient: str, lora: tuple[str, ...]
) -> None:
    """Weights of the last layer, which runs in two parts, that ZeRO-3 gathers and does not give back."""
    options = overrides(3, BATCH, budget_of(run_file, 4), f"train.gradient={gradient}", *lora)
    assert pools[2].run("left_gathered", str(run_file), options) == [[], []]


@pytest.mark.parametrize("stage", [1, 2])
def test_missing_boundary_is_found(pools: dict[int, RankPool], run_file: Path, stage: int) -> None:
    """A test of the above that passes whatever is reduced when."""
    options = overrides(stage, *CACHED, budget_of(run_file, 4))
    (found, _) = pools[2].run("gradients", str(run_file), options, "boundary")
    assert relative_error(found, expected_gradients(run_file)) > 0.05


def collectives(pool: RankPool, run_file: Path, *options: str) -> Any:
    (first, second) = pool.run("collectives", str(run_file), list(options))
    assert first == second
    return first


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("symmetric", ["false", "true"])
def test_cached_gradients_exchange_no_more_than_plain_ones(
    pools: dict[int, RankPool], run_file: Path, stage: int, symmetric: str
) -> None:
    """A reduction for every chunk, or a gather for every block of the loss: what makes others slow."""
    options = overrides(
        stage,
        BATCH,
        LORA,
        budget_of(run_file, 8),
        "train.reduce_gradients=once",
        f"train.symmetric={symmetric}",
    )
    plain = collectives(pools[2], run_file, *options, "train.gradient=plain")
    cached = collectives(pools[2], run_file, *options, "train.gradient=cached")
    assert cached == plain
    assert cached["c10d::_allgather_base_"] == 1
    assert cached["c10d::_reduce_scatter_base_"] == 1
