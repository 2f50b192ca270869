"""A Ray cluster on this machine that only counts CPUs, and pools on it that lose their patience soon."""

import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.run import ClusterConfig
from distributed_hbt.coordinator.evaluation_pool import RayExecutor
from distributed_hbt.coordinator.evaluation_pool_backlog import Patience
from distributed_hbt.evaluation.jobs.job import Job, ProgressSink
from tests.coordinator.evaluation_pool_jobs import SECONDS_UNTIL_HUNG, Rows

CPUS = 8
PATIENCE = Patience(
    attempts=3, start=SECONDS_UNTIL_HUNG, stall=SECONDS_UNTIL_HUNG, output=1, pause=0.1, tick=0.1
)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[str]:
    """Its address."""
    # Not Ray's default, which writes a token into the home folder. It stays set: Ray reads it once.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    folder = tempfile.mkdtemp(prefix="hbt-ray-")  # short: sockets lie in it
    ray.init(
        address="local",
        num_cpus=CPUS,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
        _temp_dir=folder,
    )
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def pool(
    actors: int = 2,
    sink: ProgressSink | None = None,
    gives_way: Callable[[], bool] = lambda: False,
    **patience: Any,
) -> Iterator[RayExecutor]:
    cluster = ClusterConfig(evaluation_actors=actors, gpus_per_worker=0)
    kept = replace(PATIENCE, **patience)
    with RayExecutor(cluster, max_attempts=3, sink=sink, patience=kept, gives_way=gives_way) as executor:
        yield executor


@contextmanager
def running(executor: RayExecutor, jobs: Sequence[Job]) -> Iterator[list[BaseException]]:
    """The jobs are done, by a thread, while the block does something to them. Gives a list that holds what
    `run` raised, after the block."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            executor.run(jobs, "toys")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield errors
    thread.join(SECONDS_UNTIL_HUNG)
    assert not thread.is_alive(), "the pool hangs"


def contents(jobs: Sequence[Rows]) -> list[str]:
    """What the jobs wrote."""
    return [job.output.read_text() for job in jobs]


def expected(jobs: Sequence[Rows]) -> list[str]:
    """What they are to write."""
    return ["".join(f"job {job.index} row {row + 1}\n" for row in range(job.rows)) for job in jobs]


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every output."""
    found = {path.name: path.stat() for path in folder.glob("*.txt")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}
