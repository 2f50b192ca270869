"""Jobs done in this process."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from distributed_hbt.errors import DataError, WorkerFailed
from distributed_hbt.evaluation.jobs import local
from distributed_hbt.evaluation.jobs.job import Progress
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.evaluation.jobs.worker import Worker


@dataclass
class Job:
    """Two texts; `happens` comes between them, with the number of the attempt."""

    output: Path
    happens: Callable[[int], None] = lambda _: None
    size: int = 2
    attempts: int = 0
    threads: list[int] = field(default_factory=list)

    @property
    def subject(self) -> str:
        return f"{self.output.stem}: rows 1 to 2"

    def run(self, worker: Worker) -> None:
        self.attempts += 1
        self.threads.append(torch.get_num_threads())
        worker.advance(1, f"{self.output.stem}:1")
        self.happens(self.attempts)
        worker.advance(1)
        self.output.write_text("made")


def raising(error: Exception, times: int) -> Callable[[int], None]:
    def happens(attempt: int) -> None:
        if attempt <= times:
            raise error

    return happens


def test_outputs_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    """A resumed evaluation that encodes its corpus from the start; a job that is twice in a list."""
    jobs = [Job(tmp_path / name) for name in ("a", "b", "b")]
    jobs[0].output.write_text("was there")
    LocalExecutor("cpu").run(jobs, "x")
    assert [job.attempts for job in jobs] == [0, 1, 0]
    assert jobs[0].output.read_text() == "was there"


def test_progress_is_told_within_jobs_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing to be seen for a whole shard, which takes many minutes on a CPU."""
    monkeypatch.setattr(local, "_TELL_SECONDS", 0.0)
    told: list[Progress] = []
    jobs = [Job(tmp_path / name) for name in ("a", "b", "c")]
    jobs[0].output.write_text("was there")
    LocalExecutor("cpu", sink=told.append).run(jobs, "x")
    assert [progress.done for progress in told] == [2, 3, 4, 4, 5, 6, 6]
    assert {progress.total for progress in told} == {6}


def test_progress_is_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that writes to a terminal after every batch takes the time of the encoder."""
    monkeypatch.setattr(local, "_TELL_SECONDS", 1000.0)
    told: list[Progress] = []
    LocalExecutor("cpu", sink=told.append).run([Job(tmp_path / "a")], "x")
    assert [progress.done for progress in told] == [0, 2]


def test_what_comes_from_the_machine_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One hiccup of a disk that ends an evaluation of hours; or is hidden."""
    job = Job(tmp_path / "a", raising(OSError("hiccup"), times=2))
    with caplog.at_level(logging.WARNING):
        LocalExecutor("cpu", max_attempts=3).run([job], "x")
    assert job.attempts == 3
    assert caplog.messages[0] == "a:1: failed 1 times (OSError: hiccup); tried again"


def test_the_last_attempt_fails_the_list_with_the_place(tmp_path: Path) -> None:
    """An error without the row that has to be looked at."""
    job = Job(tmp_path / "a", raising(OSError("hiccup"), times=3))
    with pytest.raises(WorkerFailed) as caught:
        LocalExecutor("cpu", max_attempts=3).run([job], "x")
    assert caught.value.where == "a:1"
    assert "OSError: hiccup" in caught.value.what


def test_an_error_for_the_user_is_not_tried_again(tmp_path: Path) -> None:
    """Three times the same bad row."""
    job = Job(tmp_path / "a", raising(DataError("a:1", "has no text", "remove it"), times=3))
    with pytest.raises(DataError, match=r"^a:1: has no text; remove it$"):
        LocalExecutor("cpu").run([job], "x")
    assert job.attempts == 1


def test_threads_are_those_asked_for_while_jobs_run(tmp_path: Path) -> None:
    """Other last bits than those of an actor with as many; a training that goes on with fewer threads."""
    before = torch.get_num_threads()
    job = Job(tmp_path / "a")
    failing = Job(tmp_path / "b", raising(DataError("a", "b", "c"), times=1))
    LocalExecutor("cpu", threads=before + 1).run([job], "x")
    with pytest.raises(DataError):
        LocalExecutor("cpu", threads=before + 2).run([failing], "x")
    assert (job.threads, failing.threads) == ([before + 1], [before + 2])
    assert torch.get_num_threads() == before
