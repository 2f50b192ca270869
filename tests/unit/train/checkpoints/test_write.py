"""The first rank completes a checkpoint when all ranks have written theirs, or says who has not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distributed_hbt.checkpoint_marker import Damage, damage_of, read_marker
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.checkpoints.attempt import Attempt
from distributed_hbt.train.checkpoints.write import CheckpointWrite

STEP = 7
FOR_EVER = 3600.0


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    """The current one, with a folder to write the checkpoint into."""
    attempt = Attempt(RunDirectory(tmp_path), "abc")
    attempt.directory.attempt.write_text(json.dumps({"token": "abc"}))
    attempt.partial(STEP).mkdir(parents=True)
    return attempt


def write(
    attempt: Attempt, rank: int, seconds: float = FOR_EVER, completed: Callable[[], None] = lambda: None
) -> CheckpointWrite:
    """The part of one of two ranks: a file with its number."""

    def files(folder: Path) -> list[str]:
        (folder / "engine").mkdir(exist_ok=True)
        (folder / "engine" / f"{rank}.pt").write_text(str(rank))
        return [f"engine/{rank}.pt"]

    ranks = Ranks(rank, 2, rank)
    return CheckpointWrite(attempt, STEP, ranks, files=files, completed=completed, seconds=seconds)


@pytest.mark.parametrize("first", [0, 1])
def test_it_is_complete_once_all_ranks_have_written(attempt: Attempt, first: int) -> None:
    """A marker that lacks the files of the rank that was slower."""
    counted: list[int] = []
    parts = [write(attempt, rank, completed=lambda: counted.append(1)) for rank in (0, 1)]
    for rank in (first, 1 - first):
        parts[rank].start()
        parts[rank].own_are_written.wait()
    for part in parts:
        part.join()
        assert part.error is None
    final = attempt.directory.checkpoint(STEP)
    files = read_marker(final)
    assert not isinstance(files, Damage)
    assert list(files) == ["engine/0.pt", "engine/1.pt"]
    assert damage_of(final, files) is None
    assert sorted(path.name for path in final.iterdir()) == ["COMPLETE", "engine"]
    assert counted == [1]


def test_a_rank_that_died_is_not_waited_for(attempt: Attempt) -> None:
    """The first rank's thread keeps a process, and its lock, for ever."""
    late = write(attempt, 0, seconds=0.1)
    late.run()
    assert "could not be written by rank 0 (rank 1 has not written its files)" in str(late.error)
    dropped = write(attempt, 0)
    dropped.start()
    dropped.own_are_written.wait()
    dropped.abandon()
    dropped.join()
    assert dropped.error is not None
    assert not attempt.directory.checkpoint(STEP).exists()


def test_a_complete_checkpoint_is_never_replaced(attempt: Attempt) -> None:
    """An attempt that is behind writes over what its successor has trained on from. Remains without a marker
    are replaced."""
    final = attempt.directory.checkpoint(STEP)
    final.mkdir()
    (final / "remains").touch()
    for content in ("", "whole"):
        for rank in (1, 0):
            attempt.partial(STEP).mkdir(exist_ok=True)
            part = write(attempt, rank)
            part.run()
            assert part.error is None
        if not content:
            assert not (final / "remains").exists()
            (final / "engine" / "0.pt").write_text("whole")
    assert (final / "engine" / "0.pt").read_text() == "whole"
    assert [path.name for path in attempt.directory.checkpoints.iterdir()] == [final.name]


def test_a_replaced_attempt_completes_nothing(attempt: Attempt) -> None:
    """Two attempts that write, each, the checkpoint of the same step."""
    attempt.directory.attempt.write_text(json.dumps({"token": "of another"}))
    for rank in (1, 0):
        part = write(attempt, rank)
        part.run()
    assert "another attempt to train this run was started" in str(part.error)
    assert not attempt.directory.checkpoint(STEP).exists()
