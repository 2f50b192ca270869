"""A training that was stopped goes on with another number of ranks, or another ZeRO stage."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import zero_overrides
from tests.distributed.sealed import seal

LORA = "model.lora={rank: 4, alpha: 8}"
CACHED = "train.gradient=cached"
BFLOAT16 = "model.dtype=bfloat16"
MIDDLE, LAST = 5, 10


@dataclass(frozen=True)
class Stopped:
    """A run of which the checkpoint after `MIDDLE` steps is the last, and the losses of all its steps."""

    overrides: list[str]
    losses: list[float]


Stop = Callable[..., Stopped]


@pytest.fixture(scope="session")
def runs(pools: dict[int, RankPool], run_file: Path) -> dict[str, tuple[Path, list[float]]]:
    """Directory and losses of the uninterrupted runs."""
    return {}


@pytest.fixture
def stopped(
    pools: dict[int, RankPool], run_file: Path, tmp_path: Path, runs: dict[str, tuple[Path, list[float]]]
) -> Stop:
    """stopped(stage, world_size, *options)"""

    def stop(stage: int | str, world_size: int, *options: str) -> Stopped:
        stores = f"data.store_dir={run_file.parent / 'runs' / 'stores'}"
        name = f"w{world_size}z{stage}{''.join(filter(str.isalnum, ''.join(options)))}"
        overrides = [*zero_overrides(stage, *options), f"name={name}", stores]
        if name not in runs:
            done = pools[world_size].run("train_until", str(run_file), overrides, None)[0]
            runs[name] = (run_file.parent / "runs" / name, [loss for _, loss in done])
        directory, losses = runs[name]
        shutil.copytree(directory, tmp_path / name)
        shutil.rmtree(tmp_path / name / "checkpoints" / f"step-{LAST:08d}")
        return Stopped([*overrides, f"output_dir={tmp_path}"], losses)

    return stop


CASES: list[tuple[int | str, int, int, tuple[str, ...]]] = [
    *((stage, 2, to, options) for stage in (1, 2, 3) for to in (1, 4) for options in ((), (LORA,))),
    *((stage, 4, 2, (CACHED,)) for stage in (1, 2, 3)),
    (2, 1, 2, (CACHED, LORA)),
    (0, 2, 1, ()),
    ("3_offload", 2, 4, ()),
]


@pytest.mark.parametrize(("stage", "ranks", "then", "options"), CASES)
def test_losses_go_on_as_if_nothing_had_changed(
    pools: dict[int, RankPool],
    run_file: Path,
    stopped: Stop,
    stage: int | str,
    ranks: int,
    then: int,
    options: tuple[str, ...],
) -> None:
    """Moments, step count or weights that stay behind, or land on another parameter. The gradients of another
    number of ranks are the same to rounding, and so are the losses."""
    run = stopped(stage, ranks, *options)
    after = pools[then].run("train_until", str(run_file), run.overrides, None)[0]
    assert [step for step, _ in after] == list(range(MIDDLE + 1, LAST + 1))
    np.testing.assert_allclose([loss for _, loss in after], run.losses[MIDDLE:], rtol=1e-5)


@pytest.mark.parametrize(
    ("stage", "then", "options"),
    [
        (1, 4, ()),
        (1, 1, (BFLOAT16,)),
        (2, 4, (LORA,)),
        (2, 1, (BFLOAT16,)),
        (3, 1, ()),
        (3, 4, (LORA, BFLOAT16)),
    ],
)
def test_state_is_that_of_the_checkpoint_bit_for_bit(
    pools: dict[int, RankPool],
    run_file: Path,
    stopped: Stop,
    stage: int,
    then: int,
    options: tuple[str, ...],
) -> None:
    """What a loss near enough does not show: a moment of a vector, padding, a count that is one too high."""
    run = stopped(stage, 2, *options)
    expected = pools[2].run("state_loaded", str(run_file), run.overrides)[0]
    found = pools[then].run("state_loaded", str(run_file), run.overrides)[0]
    assert expected["steps"].tolist() == [MIDDLE]
    assert found.keys() == expected.keys()
    differ = [name for name in expected if not np.array_equal(found[name], expected[name])]
    assert differ == []
    assert all(np.abs(found[name]).max() > 0 for name in found if name.startswith("exp_avg"))


@pytest.mark.parametrize(("stage", "then"), [(1, 3), (2, 1), (3, 2)])
def test_another_stage_goes_on_too(
    pools: dict[int, RankPool], run_file: Path, stopped: Stop, stage: int, then: int
) -> None:
    """Parts that are cut by the rules of the stage that loads them."""
    run = stopped(stage, 2)
    overrides = [*run.overrides, *zero_overrides(then)]
    after = pools[2].run("train_until", str(run_file), overrides, None)[0]
    np.testing.assert_allclose([loss for _, loss in after], run.losses[MIDDLE:], rtol=1e-5)


def test_another_stage_to_or_from_zero_is_refused(
    pools: dict[int, RankPool], run_file: Path, stopped: Stop
) -> None:
    """ZeRO-0 that begins with empty moments, without a word."""
    run = stopped(2, 2)
    with pytest.raises(
        RuntimeError, match="has zero_stage 2, this run 0; use the ds_configs file of stage 2"
    ):
        pools[2].run("train_until", str(run_file), [*run.overrides, *zero_overrides(0)], None)


def test_missing_part_of_a_former_rank_is_named(
    pools: dict[int, RankPool], run_file: Path, stopped: Stop
) -> None:
    """A run that goes on with zeros for what is not there."""
    run = stopped(2, 2)
    folder = Path(run.overrides[-1].partition("=")[2])
    (part,) = folder.glob("*/checkpoints/*/engine/zero_pp_rank_1_mp_rank_00_optim_states.pt")
    part.unlink()
    seal(part.parents[1])
    with pytest.raises(RuntimeError, match=re.escape("the optimizer state of rank 1 is missing")):
        pools[1].run("train_until", str(run_file), run.overrides, None)
