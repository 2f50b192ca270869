"""How long ranks wait for each other."""

from pathlib import Path

import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import zero_overrides


@pytest.mark.parametrize("stage", [2, 3])
def test_every_process_group_has_the_run_s_limit(
    pools: dict[int, RankPool], run_file: Path, stage: int
) -> None:
    """DeepSpeed's own groups, in which gradients are reduced, that wait half an hour for a lost rank."""
    overrides = zero_overrides(stage, "cluster.collective_timeout_seconds=123")
    for limits in pools[2].run("collective_limits", str(run_file), overrides):
        assert len(limits) > 1
        assert set(limits) == {123.0}
