"""What becomes of an evaluation whose actors die, hang or fail."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from distributed_hbt.coordinator import evaluation_pool_seat
from distributed_hbt.errors import DataError, WorkerFailed
from distributed_hbt.evaluation.jobs.job import Progress
from tests.coordinator.evaluation_pool_cluster import (
    CPUS,
    PATIENCE,
    contents,
    expected,
    pool,
    ray_cluster,
    running,
)
from tests.coordinator.evaluation_pool_jobs import (
    Faulty,
    Frozen,
    Killed,
    Raising,
    Refusing,
    RefusingLater,
    Rows,
    Stuck,
    Together,
    Unreadable,
    Unseen,
    Waiting,
    attempts,
    is_alive,
    processes,
    started,
    wait_for,
)

__all__ = ["ray_cluster"]
pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_the_job_of_a_killed_actor_is_done_by_another(tmp_path: Path) -> None:
    """A lost actor takes its shard with it, or its shard is done twice over, or others are disturbed."""
    jobs = [Waiting(tmp_path, 0, faults=1), *(Rows(tmp_path, index) for index in range(1, 6))]
    with pool() as executor, running(executor, jobs) as errors:
        wait_for(lambda: bool(attempts(tmp_path, 0)))
        os.kill(attempts(tmp_path, 0)[0], signal.SIGKILL)
    assert errors == []
    assert contents(jobs) == expected(jobs)
    assert sorted(index for index, _ in started(tmp_path)) == [0, 0, 1, 2, 3, 4, 5]
    first, second = attempts(tmp_path, 0)
    assert first != second
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *sorted(f"{index}.txt" for index in range(6)),
        "started",
    ]


def test_a_job_that_always_kills_its_actor_fails_the_list_and_nothing_else(tmp_path: Path) -> None:
    """A poisonous row that ends actor after actor for ever, or with them the jobs and lists of others."""

    def sink(progress: Progress) -> None:
        if progress.done >= 2:
            (tmp_path / "go").touch()

    others = [Rows(tmp_path, index) for index in range(1, 8)]
    with pool(sink=sink) as executor:
        with pytest.raises(WorkerFailed) as caught:
            executor.run([Killed(tmp_path, 0), *others], "toys")
        executor.run(others, "toys")
    assert caught.value.where == "corpus-0.jsonl:2"  # the last row that was known to be done
    assert "failed 3 times" in caught.value.what
    assert os.uname().nodename in caught.value.what
    assert "worker process has died" in caught.value.what
    assert "\n" not in str(caught.value)
    assert len(set(attempts(tmp_path, 0))) == 3
    assert contents(others) == expected(others)
    assert all(len(attempts(tmp_path, job.index)) == 1 for job in others)


def test_an_error_for_the_user_arrives_as_it_was_raised(tmp_path: Path) -> None:
    """Ray wraps it: the row is lost in a traceback, the exit code is wrong. Or it is tried again."""
    with pool() as executor, pytest.raises(DataError) as caught:
        executor.run([Refusing(tmp_path, 0), Rows(tmp_path, 1)], "toys")
    assert type(caught.value) is DataError
    assert str(caught.value) == "corpus-0.jsonl:3: has no text; remove the row"
    assert caught.value.exit_code == 2
    assert len(attempts(tmp_path, 0)) == 1
    assert "in happens" in caught.value.__notes__[0]  # what --debug shows


@pytest.mark.parametrize("faults", [2, 3])
def test_a_job_that_raises_is_tried_again_by_another_process(tmp_path: Path, faults: int) -> None:
    """A fault of the file system that passes; a GPU that gives errors to this process alone, ever after."""
    jobs = [Raising(tmp_path, 0, faults=faults), Rows(tmp_path, 1)]
    with pool() as executor:
        if faults == 2:
            executor.run(jobs, "toys")
            assert contents(jobs) == expected(jobs)
        else:
            with pytest.raises(WorkerFailed) as caught:
                executor.run(jobs, "toys")
            assert caught.value.where == "corpus-0.jsonl:2"
            assert "OSError: [Errno 5] Input/output error" in caught.value.what
            assert caught.value.exit_code == 1
    assert len(set(attempts(tmp_path, 0))) == 3


@pytest.mark.parametrize("kind", [Stuck, Frozen])
def test_an_actor_that_hangs_is_ended_and_its_job_done(tmp_path: Path, kind: type[Faulty]) -> None:
    """Reading from a file system that does not answer; a process that does not answer at all."""
    jobs = [kind(tmp_path, 0, faults=1), *(Rows(tmp_path, index) for index in range(1, 4))]
    with pool(stall=3.0) as executor:
        executor.run(jobs, "toys")
    assert contents(jobs) == expected(jobs)
    first, _ = attempts(tmp_path, 0)
    wait_for(lambda: not is_alive(first))


def test_a_job_that_always_hangs_ends_in_an_error_that_names_the_time(tmp_path: Path) -> None:
    """An evaluation that hangs for ever; a user who does not find what to change if it only was slow."""
    with pool(stall=2.0, attempts=2) as executor, pytest.raises(WorkerFailed) as caught:
        executor.run([Stuck(tmp_path, 0)], "toys")
    assert caught.value.where == "corpus-0.jsonl:2"
    assert "did not advance for 2 s (cluster.evaluation_stall_seconds)" in caught.value.what
    assert len(attempts(tmp_path, 0)) == 2


def test_a_job_that_advances_may_take_longer_than_the_stall(tmp_path: Path) -> None:
    """The time is that without a sign of life, not that of a whole shard."""
    job = Rows(tmp_path, 0, rows=14, seconds=0.5)
    with pool(stall=5.0) as executor:
        executor.run([job], "toys")
    assert len(attempts(tmp_path, 0)) == 1


def test_an_output_that_is_not_seen_here_is_named(tmp_path: Path) -> None:
    """Nodes that do not share the run's folder: the driver would look for files that are elsewhere."""
    with pool(output=0.5) as executor, pytest.raises(WorkerFailed) as caught:
        executor.run([Unseen(tmp_path, 0)], "toys")
    assert str(tmp_path / "0.txt") in caught.value.what
    assert "file system that all nodes share" in caught.value.what
    assert caught.value.where == "corpus-0.jsonl: rows 1 to 4"


def test_a_job_that_can_not_be_read_by_the_actor_is_an_error(tmp_path: Path) -> None:
    """A node with another version of the package."""
    with pool() as executor, pytest.raises(WorkerFailed, match=r"invalid literal for int.*no job"):
        executor.run([Unreadable(tmp_path, 0)], "toys")


def test_an_idle_actor_that_died_costs_no_attempt(tmp_path: Path) -> None:
    """A node that is lost between two evaluations."""
    with pool(actors=1, attempts=1) as executor:
        executor.run([Rows(tmp_path, 0)], "toys")
        os.kill(processes(tmp_path)[0], signal.SIGKILL)
        wait_for(lambda: not is_alive(processes(tmp_path)[0]))
        executor.run([Rows(tmp_path, 1)], "toys")
    assert len(set(processes(tmp_path))) == 2


def test_jobs_that_were_let_go_end_by_themselves(tmp_path: Path) -> None:
    """After a failure: a job that blocks its actor or the next list, or is counted as one of it."""
    refused = [Waiting(tmp_path, 0), Refusing(tmp_path, 1)]
    later = [Rows(tmp_path, index) for index in range(2, 6)]
    with pool() as executor:
        with pytest.raises(DataError):
            executor.run(refused, "refused")
        wait_for(lambda: bool(attempts(tmp_path, 0)))
        executor.run(later, "later")  # by the other actor
        assert len(attempts(tmp_path, 0)) == 1
        (tmp_path / "go").touch()
        wait_for(refused[0].output.exists)
        executor.run([refused[0], Rows(tmp_path, 6)], "again")
    assert contents([refused[0], *later]) == expected([refused[0], *later])
    assert len(attempts(tmp_path, 0)) == 1
    assert len(set(processes(tmp_path))) == 2


def test_what_becomes_of_jobs_that_were_let_go_is_no_matter_of_the_next_list(tmp_path: Path) -> None:
    """The evaluation of a good checkpoint that fails with the error of one before it."""
    later = tmp_path / "later"
    later.mkdir()
    with pool() as executor:
        with pytest.raises(DataError, match="corpus-1"):
            executor.run([RefusingLater(tmp_path, 0), Refusing(tmp_path, 1)], "refused")
        wait_for(lambda: bool(attempts(tmp_path, 0)))
        (tmp_path / "go").touch()
        executor.run([Together(later, index, processes=2) for index in range(2)], "later")
    assert set(processes(later)) == set(processes(tmp_path))


def test_a_lost_actor_that_can_not_be_replaced_ends_in_an_error_that_names_its_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only node with GPUs is cut off: waiting for ever for one, or not saying what was lost."""
    actor_class = evaluation_pool_seat._actor_class
    with pool(actors=1) as executor:
        executor.run([Rows(tmp_path, 1)], "before")
        monkeypatch.setattr(executor, "_patience", replace(PATIENCE, start=1))
        with running(executor, [Waiting(tmp_path, 0)]) as errors:
            wait_for(lambda: bool(attempts(tmp_path, 0)))
            monkeypatch.setattr(
                evaluation_pool_seat, "_actor_class", lambda share: actor_class(replace(share, cpus=CPUS + 1))
            )
            os.kill(attempts(tmp_path, 0)[0], signal.SIGKILL)
    (error,) = errors
    assert str(error).startswith("cluster: no evaluation actor could be had in 1 s: each needs 1 CPU, ")
    assert f"the last one was on {os.uname().nodename}" in str(error)
    assert "worker process has died" in str(error)


class _Broken:
    """An actor that can not be started: a node where the package lacks something."""

    def __init__(self, device: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'")

    def home(self) -> None: ...


def test_actors_that_can_not_be_started_end_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Starting one after the other for ever."""
    monkeypatch.setattr(evaluation_pool_seat, "EvaluationActor", _Broken)
    with (
        pool() as executor,
        pytest.raises(WorkerFailed, match=r"be started \(ModuleNotFoundError: No module named 'torch'\);"),
    ):
        executor.run([Rows(tmp_path, index) for index in range(3)], "toys")
