"""ZeRO-3 with a second copy of the weights in every node."""

from pathlib import Path

import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.reference import Reference, relative_error
from tests.distributed.run_for_tests import ROOT


@pytest.mark.parametrize("gradient", ["plain", "cached"])
def test_gradient_with_hierarchical_partitions_equals_one_process(run_file: Path, gradient: str) -> None:
    """Weights of the step before, gathered from the copy in the node. Four ranks, two nodes of two; a pool of
    their own, since DeepSpeed keeps such groups for the life of a process."""
    options = [
        f"train.deepspeed={ROOT}/tests/distributed/zero3_hpz_of_two.json",
        f"train.gradient={gradient}",
    ]
    losses, norms, weights = Reference(run_file, []).losses_and_weights(4)
    pool = RankPool(4)
    try:
        answers = pool.run("losses_and_weights", str(run_file), options, 4)
    finally:
        pool.close()
    for found_losses, found_norms, _ in answers:
        assert found_losses == pytest.approx(losses, abs=1e-5)
        assert found_norms == pytest.approx(norms, rel=1e-3)
    assert relative_error(answers[0][2], weights) <= 1e-4
