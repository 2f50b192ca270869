"""Jobs done by real Ray actors."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from distributed_hbt.config.run import ClusterConfig
from distributed_hbt.coordinator.evaluation_pool import RayExecutor
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.evaluation.jobs.job import Progress
from tests.coordinator.evaluation_pool_cluster import (
    PATIENCE,
    contents,
    expected,
    files,
    pool,
    ray_cluster,
    running,
)
from tests.coordinator.evaluation_pool_jobs import (
    Rows,
    Threads,
    Together,
    Waiting,
    attempts,
    is_alive,
    processes,
    started,
    wait_for,
)

__all__ = ["ray_cluster"]
pytestmark = pytest.mark.usefixtures("ray_cluster")
ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import sys
from dataclasses import replace
from pathlib import Path
import ray
from tests.coordinator.evaluation_pool_cluster import pool
from tests.coordinator.evaluation_pool_jobs import Rows, Waiting
folder = Path(sys.argv[2])
ray.init(address=sys.argv[1], log_to_driver=False)
jobs = [*(Rows(folder, index) for index in range(3)), *(Waiting(folder, index) for index in (3, 4))]
with pool() as executor:
    executor.run(jobs, "toys")
"""


@pytest.mark.parametrize("actors", [1, 2, 5])
def test_so_many_actors_work_at_once_and_make_the_same_files(tmp_path: Path, actors: int) -> None:
    """Actors that wait for each other; a file that depends on who makes it, or how many there are."""
    jobs = [Together(tmp_path, index, processes=actors) for index in range(12)]
    with pool(actors) as executor:
        executor.run(jobs, "toys")
    assert contents(jobs) == expected(jobs)
    assert sorted(index for index, _ in started(tmp_path)) == list(range(12))
    assert len(set(processes(tmp_path))) == actors


def test_actors_are_kept_between_lists(tmp_path: Path) -> None:
    """A 7B encoder that is loaded anew for every list of jobs."""
    with pool(actors=3) as executor:
        executor.run([Rows(tmp_path, 0)], "first")
        executor.run([Rows(tmp_path, 1)], "second")
    assert len(set(processes(tmp_path))) == 1


def test_outputs_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    """A resumed evaluation that encodes its corpus from the start."""
    jobs = [Rows(tmp_path, index) for index in range(4)]
    with pool() as executor:
        executor.run(jobs[:2], "toys")
        before = files(tmp_path)
        executor.run(jobs, "toys")
        executor.run(jobs, "toys")
    assert before.items() <= files(tmp_path).items()
    assert sorted(index for index, _ in started(tmp_path)) == [0, 1, 2, 3]


def test_a_job_that_is_twice_in_a_list_is_done_once(tmp_path: Path) -> None:
    """Two corpora that share a file are surveyed by equal jobs."""
    with pool(actors=1) as executor:
        executor.run([Rows(tmp_path, 0), Rows(tmp_path, 0)], "toys")
    assert len(attempts(tmp_path, 0)) == 1


def test_progress_grows_within_jobs_and_ends_complete(tmp_path: Path) -> None:
    """A bar that stands still for a whole shard, goes back, or never comes to its end."""
    seen: list[Progress] = []

    def sink(progress: Progress) -> None:
        seen.append(progress)
        if 6 < progress.done < 12:  # within the jobs in hand
            (tmp_path / "go").touch()

    jobs = [Rows(tmp_path, 0), *(Waiting(tmp_path, index) for index in (1, 2))]
    with pool(sink=sink) as executor:
        executor.run(jobs[:1], "before")
        seen.clear()
        executor.run(jobs, "toys")
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (4, 12)  # the texts of the job that was done before count
    assert {(progress.label, progress.total) for progress in seen} == {("toys", 12)}
    assert seen[-1].share == 1.0
    assert seen[-1].seconds_left == 0.0


def test_closing_ends_a_list_and_leaves_no_process(tmp_path: Path) -> None:
    """After Ctrl-C: a thread that waits for ever, an actor that keeps its GPU from the next run."""
    jobs = [Waiting(tmp_path, 0), Rows(tmp_path, 1)]
    with pool() as executor, running(executor, jobs) as errors:
        wait_for(lambda: len(started(tmp_path)) == 2)
        executor.close()
    assert [str(error).partition(";")[0] for error in errors] == [
        "evaluation: the evaluation was stopped before its end"
    ]
    for pid in processes(tmp_path):
        wait_for(lambda pid=pid: not is_alive(pid))


def test_threads_are_those_of_the_configuration(tmp_path: Path) -> None:
    """Threads decide the last bits of an embedding: as many as a machine has differ from node to node."""
    job = Threads(tmp_path, 0)
    cluster = ClusterConfig(evaluation_actors=1, gpus_per_worker=0, evaluation_cpus_per_actor=3)
    with RayExecutor(cluster, max_attempts=3) as executor:
        executor.run([job], "toys")
    assert job.output.read_text() == "3 3 3 true"


def test_resources_that_never_come_end_in_an_error(tmp_path: Path) -> None:
    """An evaluation that waits for ever for GPUs that the cluster does not have."""
    cluster = ClusterConfig(evaluation_actors=2, gpus_per_worker=0, evaluation_cpus_per_actor=100)
    with (
        RayExecutor(cluster, max_attempts=3, patience=replace(PATIENCE, start=1)) as executor,
        pytest.raises(
            WorkerFailed, match=r"^cluster: no evaluation actor .* needs 100 CPU, .* has 8 CPUs \(\d free\)"
        ),
    ):
        executor.run([Rows(tmp_path, 0)], "toys")


def test_what_a_killed_coordinator_finished_is_kept(tmp_path: Path, ray_cluster: str) -> None:
    """Its actors go on and hold their GPUs; a new one makes everything again."""
    command = [sys.executable, "-c", DRIVER, ray_cluster, str(tmp_path)]
    driver = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        wait_for(lambda: len(files(tmp_path)) == 3 and len(started(tmp_path)) == 5)
    finally:
        driver.kill()
        driver.wait()
    for pid in processes(tmp_path):
        wait_for(lambda pid=pid: not is_alive(pid))
    before = files(tmp_path)
    (tmp_path / "go").touch()
    jobs = [Rows(tmp_path, index) for index in range(5)]
    with pool() as executor:
        executor.run(jobs, "toys")
    assert contents(jobs) == expected(jobs)
    assert before.items() <= files(tmp_path).items()
    assert sorted(index for index, _ in started(tmp_path)) == [0, 1, 2, 3, 3, 4, 4]
