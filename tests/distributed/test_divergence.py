"""Weights that are no longer equal on all ranks are found, wherever several ranks hold them."""

from pathlib import Path

import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import zero_overrides

LORA = "model.lora={rank: 4, alpha: 8, dropout: 0.1}"
BF16 = "model.dtype=bfloat16"
TASK = "divergence_tasks.found_after_a_flip"
LAST = "layers.1.mlp.down_proj"
WHOLE_SMALL = f"train.deepspeed={Path(__file__).parents[2] / 'ds_configs/zero3.json'}"

CASES: list[tuple[list[str], str]] = [
    (zero_overrides(0), LAST),
    (zero_overrides(1), LAST),
    (zero_overrides(2, BF16), LAST),
    (zero_overrides(2, LORA), "layers.1.mlp.down_proj.lora_A"),
    ([WHOLE_SMALL], LAST),
]


@pytest.mark.parametrize(("options", "flipped"), CASES)
def test_one_turned_bit_is_found_by_all_ranks(
    pools: dict[int, RankPool], run_file: Path, options: list[str], flipped: str
) -> None:
    """A faulty memory or link after which ranks train different models; equal weights that are said to
    differ."""
    answers = pools[2].run(TASK, str(run_file), options, {1: flipped})
    assert answers[0] == answers[1]
    before, after = answers[0]
    assert before == ""
    assert after.startswith(
        "ranks 0, 1: after step 2 the weights differ from each other, and none has a majority"
    )
    assert flipped in after
    assert "(in 1 of " in after


def test_the_rank_that_differs_from_the_majority_is_named(pools: dict[int, RankPool], run_file: Path) -> None:
    """A line that accuses the wrong node."""
    flips = {2: "layers.0.self_attn.q_proj"}
    for _, after in pools[4].run(TASK, str(run_file), zero_overrides(2), flips):
        assert after.startswith(
            "rank 2: after step 2 the weights differ from those of the other ranks (in 1 of "
        )


def test_what_zero3_partitions_has_one_copy_and_nothing_to_differ_from(
    pools: dict[int, RankPool], run_file: Path
) -> None:
    """A comparison of partitions, which always differ."""
    for answer in pools[2].run(TASK, str(run_file), zero_overrides(3), {}):
        assert answer == ["", ""]
