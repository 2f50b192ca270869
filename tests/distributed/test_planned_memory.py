"""What `hbt plan` says of memory, beside tensors that real engines hold."""

from dataclasses import replace

import pytest

from benchmarks.planner import cluster, planned
from benchmarks.planner_cases import Case, Measured
from distributed_hbt.planner.memory import gradients, optimizer, weights
from distributed_hbt.planner.plan import Plan
from tests.distributed.ranks import RankPool

TWO = Case("qwen3", 128, 3, 2, 2, "cached", rows=16, chunk=512, bucket=20_000)
CASES = {
    "zero0": replace(TWO, stage=0),
    "zero1": replace(TWO, stage=1, gradient="plain"),
    "zero2": TWO,
    "zero3": replace(TWO, stage=3),
    "zero2 lora": replace(TWO, lora=True),
    "zero2 bfloat16": replace(TWO, dtype="bfloat16"),
    "zero0 recomputed": replace(TWO, stage=0, gradient="plain", checkpointing=True),
}
PADDING = 4_096
"""Bytes: DeepSpeed fills its flat buffers up, and keeps small constants of its own."""


@pytest.fixture(scope="module", params=CASES)
def planned_and_measured(
    request: pytest.FixtureRequest, pools: dict[int, RankPool], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, Measured]:
    case, folder = CASES[request.param], tmp_path_factory.mktemp("planned")
    found = pools[case.ranks].run("measured", case, folder)
    return planned(case, cluster(1e11, 1.0), folder), found[0]


def test_weights_and_optimizer_are_what_an_engine_keeps(planned_and_measured: tuple[Plan, Measured]) -> None:
    """float32 masters forgotten, a share taken for the whole, frozen weights with an optimizer's state."""
    plan, found = planned_and_measured
    setting = plan.setting
    kept = weights(setting) + optimizer(setting)
    if setting.sharding.stage == 3:  # it keeps its share of the gradient, and its bucket
        kept += gradients(setting, end=False) + setting.bytes_per_weight * setting.sharding.bucket
    assert found.kept == pytest.approx(kept, abs=PADDING + 0.002 * kept)


def test_gradients_are_what_a_backward_leaves(planned_and_measured: tuple[Plan, Measured]) -> None:
    """A whole gradient where a share is kept, or the reverse."""
    setting, found = planned_and_measured[0].setting, planned_and_measured[1]
    expected = 0.0 if setting.sharding.stage == 3 else gradients(setting, end=True)
    # What shares a bucket with the rank's own keeps the whole bucket.
    in_buckets = 2 * setting.bytes_per_weight * setting.sharding.bucket if setting.sharding.stage else 0
    assert expected - PADDING <= found.gradients <= expected + PADDING + in_buckets


def test_the_peak_of_a_step_is_near_what_is_planned(planned_and_measured: tuple[Plan, Measured]) -> None:
    """Activations of one chunk for those of all, or of a layer that is computed again for none."""
    plan, found = planned_and_measured
    assert 0.9 < plan.memory.allocated / found.peak < 1.15
