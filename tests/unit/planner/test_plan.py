"""Advice, sweep, checkpoints, evaluation: what a plan says beyond memory and time."""

import math
from collections.abc import Callable

import pytest

from distributed_hbt.planner.advice import advice
from distributed_hbt.planner.checkpoint import MTTF_HOURS
from distributed_hbt.planner.plan import Plan, plan_of
from distributed_hbt.planner.sweep import sweep
from tests.unit.planner.runs import known, setting_of, shipped

TOO_LARGE = "train.max_tokens_per_chunk=16384"


def plan(name: str, *overrides: str) -> Plan:
    return plan_of(setting_of(name, *overrides))


def test_advice_is_ranked_and_every_line_is_planned_anew() -> None:
    """A knob that is said to help and does not; the costliest first."""
    before = plan("qwen3_8b_lora", TOO_LARGE)
    assert not before.memory.fits
    knobs = advice(known(), before)
    fits = [knob.plan.memory.fits for knob in knobs]
    assert fits == sorted(fits, reverse=True)
    costs = [knob.slower(before) for knob in knobs if knob.plan.memory.fits]
    assert costs == sorted(costs)
    assert all(knob.saved(before) > 0 for knob in knobs)
    smaller = next(knob for knob in knobs if knob.overrides == ("train.max_tokens_per_chunk=8192",))
    alone = plan("qwen3_8b_lora", "train.max_tokens_per_chunk=8192")
    assert smaller.plan.memory.peak.total == alone.memory.peak.total
    assert smaller.plan.step.total == alone.step.total


def test_what_fits_is_told_what_is_faster() -> None:
    """Activation checkpointing that nothing needs, on a run that has the room without."""
    knobs = advice(known(), plan("qwen3_4b_full"))
    assert any("train.activation_checkpointing=false" in knob.overrides for knob in knobs)
    assert all(knob.plan.memory.fits for knob in knobs)


def test_a_sweep_has_every_stage_at_every_size() -> None:
    """A size that does not divide the batch; memory of ZeRO-3 that does not fall with ranks."""
    plans = sweep(known(), shipped("qwen3_4b_full", "train.global_batch_size=96"))
    found = [(p.setting.world_size, p.setting.sharding.stage) for p in plans]
    assert found == [(world, stage) for world in (1, 2, 4, 8, 16, 32) for stage in range(4)]
    by_world = [p.memory.peak.parts["optimizer"] for p in plans if p.setting.sharding.stage == 3]
    assert by_world == [by_world[0] / 2**i for i in range(6)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p.checkpoint.size, 16 * 4_022_468_096),
        (lambda p: p.checkpoint.mttf_seconds, MTTF_HOURS * 450),
    ],
    ids=["size", "mttf"],
)
def test_checkpoints_by_hand(change: Callable[[Plan], float], expected: float) -> None:
    """Weights, AdamW and masters, and the exported encoder; a failure of any of 8 GPUs."""
    assert change(plan("qwen3_4b_full")) == pytest.approx(expected)


def test_the_best_interval_loses_least() -> None:
    """Young's formula with a factor that is wrong: any other interval must lose more."""
    found = plan("qwen3_4b_full")
    assert found.checkpoint.best_seconds == pytest.approx(
        math.sqrt(2 * found.checkpoint.seconds * found.checkpoint.mttf_seconds)
    )
    best = found.checkpoint.best_steps
    lost = [
        plan(
            "qwen3_4b_full", f"train.checkpoint_every={every}", "evaluation.every=null"
        ).checkpoint.lost_share
        for every in (best // 3, best, best * 3)
    ]
    assert min(lost) == lost[1]


def test_adapters_alone_are_checkpointed() -> None:
    """The frozen base in every checkpoint."""
    found = plan("qwen3_8b_lora")
    assert found.checkpoint.size == 16 * found.setting.parameters.adapter


def test_miracl_takes_what_its_passages_take() -> None:
    """106 million passages of 120 tokens, 2 FLOPs a parameter."""
    found = plan("qwen3_8b_lora")
    assert found.evaluation.passages == pytest.approx(106.3e6, rel=0.01)
    products = found.evaluation.passages * 120 * 2 * found.setting.parameters.matrices
    hours = products / (0.4 * 989.4e12) / 3600
    assert found.evaluation.encode_gpu_hours == pytest.approx(hours, rel=0.02)


def test_cost_is_gpu_hours_times_price() -> None:
    """A node's price taken for a GPU's."""
    found = plan("qwen3_4b_full")
    assert found.cost == pytest.approx(2.0 * 8 * found.hours)
    steps = 10_000 * found.step.total / 3600
    assert steps < found.hours < 1.1 * steps
