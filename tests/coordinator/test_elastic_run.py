"""`hbt submit` on a cluster that gets larger and smaller in the middle of the run."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from tests.coordinator.conftest import EVERY, STEPS, Head, Submit, ray_head, ray_worker
from tests.coordinator.submitted import (
    checkpoints,
    error_lines,
    losses,
    mlflow_id,
    mlflow_run,
    steps,
)

ELASTIC = (
    *("cluster.min_workers=1", "cluster.wait_seconds=20", "cluster.shrink_after_seconds=2"),
    *("cluster.grow_after_seconds=1", "cluster.max_restarts=1"),
)

EARLY = 60
"""Steps that have seen all sizes. Rounding, which differs with the number of ranks, grows with the steps."""


@pytest.fixture(scope="module")
def one_cpu() -> Iterator[Head]:
    """A cluster of one node, which holds one rank."""
    with ray_head("--num-cpus=1") as found:
        yield found


def world_sizes(directory: Path) -> list[tuple[int, float]]:
    """Of the run in MLflow: the step that an attempt began after, and its number of ranks."""
    client = MlflowClient(json.loads((directory / "mlflow.json").read_text())["tracking_uri"])
    history = client.get_metric_history(mlflow_id(directory), "cluster/world_size")
    return [(point.step, point.value) for point in sorted(history, key=lambda point: point.timestamp)]


def test_run_starts_small_grows_at_a_checkpoint_and_shrinks_with_a_lost_node(
    submit: Submit, one_cpu: Head, whole_losses: list[float], tmp_path: Path
) -> None:
    """A run that waits for nodes that never come, does not use those that do, loses steps for that, counts
    it as a restart, ends with a node that it could do without, or trains something else with another number
    of ranks."""
    with contextlib.ExitStack() as second:
        run = submit("elastic", *ELASTIC, "--address", one_cpu.address, environment=one_cpu.environment)
        run.wait_until(lambda: "going on with 1 ranks instead of 2" in run.log)
        second.enter_context(ray_worker(one_cpu, tmp_path / "worker.log", "--num-cpus=1"))
        run.wait_until(lambda: "starting again with 2 ranks" in run.log)
        grown_at = checkpoints(run.directory)[-1]
        assert grown_at % EVERY == 0, "it has ended at a checkpoint that was due"
        run.wait_for_step(grown_at + 3)
        mlflow_run_id = mlflow_id(run.directory)
        second.close()
        assert run.exit_code() == 0, run.log
    assert "starting again (1 of 1)" in run.log, "growing has spent no restart"
    assert run.log.count("going on with 1 ranks instead of 2") == 2
    assert [line["step"] for line in steps(run.directory)] == list(range(1, STEPS + 1))
    found_losses = losses(run.directory)
    np.testing.assert_allclose(found_losses[:EARLY], whole_losses[:EARLY], rtol=1e-5)
    np.testing.assert_allclose(found_losses, whole_losses, rtol=1e-4)
    assert checkpoints(run.directory)[-1] == STEPS
    (first, one), (second_began, two), (_, last) = world_sizes(run.directory)
    assert (first, one, second_began, two, last) == (0, 1.0, grown_at, 2.0, 1.0)
    found = mlflow_run(run.directory)
    assert (found.info.run_id, found.info.status) == (mlflow_run_id, "FINISHED")
    assert found.data.tags["world_size"] == "1"


def test_cluster_that_can_not_hold_the_least_is_refused_at_once(submit: Submit, one_cpu: Head) -> None:
    """A run that waits for a cluster that is too small for it, as it is; a refusal of one that is not."""
    bounds = ("cluster.num_workers=4", "cluster.min_workers=2")
    run = submit("least", *bounds, "--address", one_cpu.address, environment=one_cpu.environment)
    assert run.exit_code() == 2, run.log
    (line,) = error_lines(run.log)
    assert (
        "the run needs 2 x training worker (1 CPU each); the cluster has 1 node with 1 CPU; missing: 1 CPU"
        in line
    )
