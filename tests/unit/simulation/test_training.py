"""The simulated training against what is known without it."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from distributed_hbt.simulation.assumptions import HOUR, Assumptions
from distributed_hbt.simulation.formulas import expected_seconds
from distributed_hbt.simulation.training import Outcome, simulate

NEVER = 1e18
"""Seconds until something fails that does not."""
PLAIN = Assumptions(gpus=512, detection=60.0, start=60.0)


def train(assumptions: Assumptions, interval: float, mttfs: float, seed: int = 0) -> Outcome:
    """So many times the cluster's MTTF, in steps of a second."""
    steps = round(mttfs * assumptions.mttf)
    return simulate(
        assumptions, steps=steps, step_seconds=1.0, steps_per_checkpoint=max(1, round(interval)), seed=seed
    )


def test_without_failures_time_is_steps_and_checkpoints() -> None:
    """By hand: 1,000 steps of 2 s, a checkpoint after 300, 600, 900 and 1,000 of them."""
    calm = Assumptions(gpus=16, gpu_mttf=NEVER, node_mttf=NEVER, state_bytes=80e9, encoder_bytes=10e9)
    assert calm.checkpoint_cost == 80 / (2 * 2) + 10 / 2
    outcome = simulate(calm, steps=1000, step_seconds=2.0, steps_per_checkpoint=300, seed=0)
    assert outcome.seconds == pytest.approx(2000 + 4 * 25)
    assert asdict(outcome.account) == pytest.approx(
        {"useful": 2000, "straggling": 0, "checkpointing": 100, "lost": 0, "restarting": 0, "waiting": 0}
    )
    assert (outcome.failures, outcome.goodput) == (0, pytest.approx(2000 / 2100))


def test_failures_are_as_many_as_published() -> None:
    """Rates of GPUs and nodes mixed up: Llama 3's cluster must have its 419 failures in 54 days."""
    llama3 = Assumptions(gpus=16_384)
    assert 54 * 24 * HOUR / llama3.mttf == pytest.approx(419)
    outcome = train(llama3, 600.0, 300)
    assert outcome.failures == pytest.approx(outcome.seconds / llama3.mttf, rel=0.1)


@pytest.mark.parametrize("gpus", [64, 4096])
@pytest.mark.parametrize("of_best", [0.2, 1.0, 5.0])
def test_time_is_what_dalys_model_expects(gpus: int, of_best: float) -> None:
    """Work that is lost twice, a checkpoint that is free, a restart that can not fail."""
    assumptions = Assumptions(gpus=gpus)
    interval = of_best * assumptions.best_interval
    outcomes = [train(assumptions, interval, 400, seed) for seed in range(3)]
    work = round(400 * assumptions.mttf)
    known = expected_seconds(
        work, round(interval), assumptions.checkpoint_cost, assumptions.restart, assumptions.mttf
    )
    wasted = np.mean([outcome.seconds for outcome in outcomes]) - work
    assert wasted == pytest.approx(known - work, rel=0.1)
    assert np.mean([outcome.seconds for outcome in outcomes]) == pytest.approx(known, rel=0.02)


def test_a_restart_can_fail_too() -> None:
    """Long restarts that always succeed: a failure in the middle of one is then forgotten."""
    mttf = Assumptions(gpus=4096).mttf
    slow = Assumptions(gpus=4096, detection=0.4 * mttf)
    outcomes = [train(slow, 3000.0, 300, seed) for seed in range(5)]
    known = expected_seconds(round(300 * mttf), 3000.0, slow.checkpoint_cost, slow.restart, mttf)
    assert np.mean([outcome.seconds for outcome in outcomes]) == pytest.approx(known, rel=0.03)


def test_youngs_interval_is_the_best() -> None:
    """An optimum that is marked beside the highest point of the curve."""
    assumptions = Assumptions(gpus=1024)
    assert assumptions.best_interval == math.sqrt(2 * assumptions.checkpoint_cost * assumptions.mttf)
    best = assumptions.best_interval
    goodput = {
        part: np.mean([train(assumptions, part * best, 200, seed).goodput for seed in range(3)])
        for part in (0.1, 1.0, 10.0)
    }
    assert goodput[1.0] > max(goodput[0.1], goodput[10.0])


@pytest.mark.parametrize("spares", [None, 0, 2])
def test_the_parts_are_all_the_time_that_passed(spares: int | None) -> None:
    """Seconds that nobody accounts for, or that are counted twice."""
    assumptions = Assumptions(gpus=4096, spare_nodes=spares)
    slowdowns = np.linspace(1.0, 1.5, 11)
    outcome = simulate(
        assumptions, steps=200_000, step_seconds=3.0, steps_per_checkpoint=500, seed=3, slowdowns=slowdowns
    )
    assert outcome.failures > 3
    assert sum(asdict(outcome.account).values()) == pytest.approx(outcome.seconds, rel=1e-9)
    assert sum(outcome.parts.values()) == pytest.approx(1.0)
    assert outcome.account.useful == pytest.approx(600_000)
    assert outcome.account.straggling == pytest.approx(150_000, rel=0.01)
    assert (outcome.account.waiting > 0) == (spares is not None)


def test_a_cluster_without_spares_waits_for_the_repair() -> None:
    """By hand, where nothing fails while it waits: a repair for each failure, and a restart."""
    rare = Assumptions(gpus=8, gpu_mttf=NEVER, node_mttf=1e6, spare_nodes=0, repair=100.0)
    outcome = simulate(rare, steps=100_000, step_seconds=100.0, steps_per_checkpoint=100, seed=1)
    assert outcome.failures > 5
    assert outcome.account.waiting == pytest.approx(100.0 * outcome.failures)
    assert outcome.account.restarting == pytest.approx(rare.restart * outcome.failures)


def test_spares_are_missing_as_often_as_a_poisson_variable_says() -> None:
    """Failures come at random and repairs take a fixed time: the nodes under repair are Poisson distributed,
    and the training waits while they are more than the spares."""
    assumptions = Assumptions(gpus=4096, spare_nodes=2)
    mean = assumptions.repair / assumptions.mttf
    more_than_two = 1 - math.exp(-mean) * (1 + mean + mean**2 / 2)
    shares = [train(assumptions, 3000.0, 1000, seed).parts["waiting"] for seed in range(3)]
    assert np.mean(shares) == pytest.approx(more_than_two, abs=0.03)


def test_a_seed_decides_everything() -> None:
    """Figures in the docs that nobody can make again."""
    one, same, other = (train(PLAIN, 3600.0, 20, seed) for seed in (7, 7, 8))
    assert one == same
    assert one != other
