"""A step whose loss or gradient is not finite leaves no trace, on any rank, in any stage."""

import json
import math
import re
from pathlib import Path

import pytest

from tests.distributed.not_finite_tasks import PLANTS
from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import zero_overrides as overrides

BF16 = "model.dtype=bfloat16"
CACHED = "train.gradient=cached"
ONCE = "train.reduce_gradients=once"
CLIPPED = "train.max_grad_norm=0.1"
LORA = "model.lora={rank: 4, alpha: 8, dropout: 0.1}"
OFFLOADED = [f"train.deepspeed={Path(__file__).with_name('zero2_offload.json')}"]

CASES: list[tuple[list[str], str]] = [
    (overrides(0), "0"),
    (overrides(0, BF16), "0 bf16"),
    (overrides(1, CLIPPED), "1 clipped"),
    (overrides(2, BF16, CACHED, ONCE), "2 bf16 once"),
    (overrides(2, LORA, CACHED), "2 lora"),
    (OFFLOADED, "2 offloaded"),
    (overrides(3, BF16, CLIPPED), "3 bf16 clipped"),
    (overrides(3, CACHED, ONCE), "3 once"),
    (overrides("3_offload"), "3 offloaded"),
]


@pytest.mark.parametrize("options", [case for case, _ in CASES], ids=[name for _, name in CASES])
def test_planted_step_changes_nothing(pools: dict[int, RankPool], run_file: Path, options: list[str]) -> None:
    """Weights that one NaN has spoilt for ever; moments that remember it; one rank that steps where the
    others do not; an engine whose next gradient is wrong."""
    name = "not_finite_tasks.skipped_steps"
    for answer in pools[2].run(name, str(run_file), options):
        assert answer["skipped"] == [False, False, *[True for _ in PLANTS], False]
        assert answer["differing"] == [[] for _ in PLANTS]
        assert answer["learnt"]
        assert answer["ends"] == []
        of_steps = answer["figures"]
        assert [*of_steps[:2], of_steps[-1]] == answer["alone"]
        losses = [loss for loss, _ in of_steps[2:5]]
        assert [math.isfinite(loss) for loss in losses] == [False, True, False]
        assert not any(math.isfinite(norm) for _, norm in of_steps[2:5])


def test_past_the_limit_the_run_ends_on_all_ranks_and_names_the_rows(
    pools: dict[int, RankPool], run_file: Path
) -> None:
    """A run that trains on, with nothing learnt; a count that a resume forgets; an error that leaves the user
    to look for the rows; ranks of which one ends and the others wait."""
    options = [*overrides(2), "name=bad-steps", "train.max_skipped_steps=2"]
    task = "not_finite_tasks.trained_with_bad_steps"
    before = pools[2].run(task, str(run_file), options, [1, 3, 7])
    directory = run_file.parent / "runs/bad-steps"
    noted = directory / "skipped/step-00000008.json"
    rows = json.loads(noted.read_text())["rows"]
    assert [error for error, _ in before] == [before[0][0]] * 2
    assert before[0][0] == (
        f"step 8: the loss is not finite; its rows are {', '.join(rows[:3])} and 5 more (all in {noted}); "
        "so were 3 steps, train.max_skipped_steps is 2; lower train.learning_rate, raise train.temperature, "
        "or mend the rows; resume starts at the last checkpoint"
    )
    assert before[0][1] == ["1", "2 skipped", "3", "4 skipped", "5", "6", "7", "8 skipped"]
    assert len(set(rows)) == 8
    assert all(re.fullmatch(rf"{run_file.parent}/train\.jsonl:\d+", row) for row in rows)
    assert sorted(path.stem for path in noted.parent.iterdir()) == [f"step-0000000{n}" for n in (2, 4, 8)]
    state = json.loads((directory / "checkpoints/step-00000005/state.json").read_text())
    assert state["skipped_steps"] == 2
    noted.unlink()
    again = pools[2].run(task, str(run_file), options, [7])
    assert [error for error, _ in again] == [before[0][0]] * 2
    assert again[0][1] == ["6", "7", "8 skipped"]
    assert noted.exists()
    (error, lines), _ = pools[2].run(task, str(run_file), [*options, "train.max_skipped_steps=3"], [7])
    assert (error, lines) == ("", ["6", "7", "8 skipped", "9", "10"])
