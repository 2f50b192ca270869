"""Which job an actor gets next, and when one has failed for good. No actors: nodes are only named."""

from pathlib import Path

import pytest

from distributed_hbt.coordinator.evaluation_pool_actor import Home
from distributed_hbt.coordinator.evaluation_pool_backlog import Backlog, Patience
from distributed_hbt.errors import WorkerFailed
from tests.coordinator.evaluation_pool_jobs import Rows

HERE, THERE = Home("a", "node-a (10.0.0.1)", 1), Home("b", "node-b (10.0.0.2)", 1)
BOTH = {"a", "b"}


def backlog(folder: Path, jobs: int, **patience: float) -> Backlog:
    settings: dict[str, float] = {"attempts": 3, "start": 60, "stall": 60, "output": 60, "pause": 0}
    settings.update(patience)
    return Backlog([Rows(folder, index) for index in range(jobs)], Patience(**settings), 0)  # type: ignore[arg-type]


def test_a_failed_job_goes_to_another_node(tmp_path: Path) -> None:
    """A node with a broken GPU that takes a job up again and again until its attempts are used up."""
    of_one = backlog(tmp_path, 1)
    task = of_one.next_for(HERE, BOTH)
    assert task is not None
    of_one.failed(task, HERE, "CUDA error")
    assert of_one.next_for(HERE, BOTH) is None
    assert of_one.next_for(THERE, BOTH) is task


def test_a_job_that_failed_on_all_nodes_is_tried_on_any(tmp_path: Path) -> None:
    """A cluster of one node on which a job that failed once is never tried again: a hang."""
    of_one = backlog(tmp_path, 1)
    task = of_one.next_for(HERE, {"a"})
    assert task is not None
    of_one.failed(task, HERE, "killed")
    assert of_one.next_for(HERE, {"a"}) is task
    of_one.failed(task, THERE, "killed")
    assert of_one.next_for(HERE, BOTH) is task


def test_a_bad_node_does_not_hold_up_other_jobs(tmp_path: Path) -> None:
    """A job that waits for another node stands before all others in the queue."""
    of_two = backlog(tmp_path, 2)
    first = of_two.next_for(HERE, BOTH)
    assert first is not None
    of_two.failed(first, HERE, "CUDA error")
    second = of_two.next_for(HERE, BOTH)
    assert second is not None
    assert second.job.subject == "corpus-1.jsonl: rows 1 to 4"


def test_a_job_that_raised_rests_before_the_next_attempt(tmp_path: Path) -> None:
    """A file system that is away for a moment uses up all attempts within milliseconds."""
    of_one = backlog(tmp_path, 1, pause=1000)
    task = of_one.next_for(HERE, BOTH)
    assert task is not None
    of_one.failed(task, HERE, "OSError", rest=True)
    assert of_one.next_for(THERE, BOTH) is None
    assert not of_one.is_empty


def test_the_last_failure_names_the_place_the_node_and_the_cause(tmp_path: Path) -> None:
    """An attempt that died before it could say where it was hides what an earlier one said."""
    of_one = backlog(tmp_path, 1, attempts=2)
    task = of_one.next_for(HERE, BOTH)
    assert task is not None
    of_one.failed(task, HERE, "killed", "corpus-0.jsonl:3")
    with pytest.raises(WorkerFailed) as caught:
        of_one.failed(task, THERE, "its node has died")
    assert str(caught.value) == (
        "corpus-0.jsonl:3: failed 2 times, the last time on node-b (10.0.0.2) (its node has died); see the "
        "error; what is done is kept, start again to go on"
    )


def test_an_output_that_shows_late_is_waited_for(tmp_path: Path) -> None:
    """NFS shows a new file to other nodes with a delay: a job that is done would be done again."""
    of_one = backlog(tmp_path, 1)
    task = of_one.next_for(HERE, BOTH)
    assert task is not None
    of_one.ended(task, HERE)
    assert not of_one.is_empty
    assert of_one.texts_done == 0
    task.job.output.write_text("late")
    of_one.look_for_outputs()
    assert of_one.is_empty
    assert of_one.texts_done == 4
