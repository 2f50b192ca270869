"""What the watching thread takes for progress."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.guards.watchdog import Watchdog
from distributed_hbt.train.phases import not_measured

LIMIT = 3.0


class Watched:
    """A rank alone, whose end is noted instead of being the end of this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.rows = RunDirectory(folder), 0
        self.ended = threading.Event()
        self.said = ""

        def end_run(_self: Any, stall: Any, _silent: list[int]) -> None:
            self.said = str(stall.error())
            self.ended.set()

        monkeypatch.setattr(Watchdog, "_end_run", end_run)
        self.watchdog = Watchdog(Ranks(0, 1, 0), self.directory, LIMIT, lambda: self.rows)

    def read_a_row(self) -> None:
        self.rows += 1

    def write_a_part(self) -> None:
        self.directory.checkpoints.mkdir(parents=True, exist_ok=True)
        with (self.directory.checkpoints / "part").open("ab") as file:
            file.write(b"more")


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(tmp_path, monkeypatch)
    with made.watchdog:
        yield made


@pytest.mark.parametrize(("phase", "sign"), [("data", "read_a_row"), ("checkpoint", "write_a_part")])
def test_slow_data_and_slow_checkpoints_are_no_stall_until_they_stand_still(
    watched: Watched, phase: str, sign: str
) -> None:
    """A run that is ended since its storage is slow; one that waits for ever for a storage that is gone."""
    watched.watchdog.step(3)
    with watched.watchdog.phases(not_measured)(phase):
        for _ in range(12):
            getattr(watched, sign)()
            assert not watched.ended.wait(LIMIT / 8)
        assert watched.ended.wait()
    assert f"in step 3 ({phase}, at " in watched.said


def test_growing_data_does_not_hide_a_stall_elsewhere(watched: Watched) -> None:
    """Rows are read ahead while a step hangs."""
    watched.watchdog.step(3)
    with watched.watchdog.phases(not_measured)("backward"):
        while not watched.ended.wait(LIMIT / 8):
            watched.read_a_row()
    assert "in step 3 (backward, at " in watched.said


def test_without_a_limit_nothing_is_watched_or_written(tmp_path: Path) -> None:
    """A thread, or files, of a watch that is off."""
    with Watchdog(Ranks(0, 1, 0), RunDirectory(tmp_path), None, lambda: 0) as nothing:
        assert nothing is None
        assert "step-watchdog" not in {thread.name for thread in threading.enumerate()}
    assert list(tmp_path.iterdir()) == []
