"""Space, speed and locks of the folder that takes a run's output."""

import fcntl
import subprocess
from pathlib import Path

import pytest

from distributed_hbt.doctor import disk, locks
from distributed_hbt.doctor.finding import Subject
from tests.unit.doctor.conftest import Examined


def test_a_full_disk_is_a_failure(small_disk: Path, examined: Examined) -> None:
    """The first checkpoint fails after an hour. And the doctor's own file does not stay."""
    (found,) = disk.check(examined(f"output_dir={small_disk}/runs"))
    assert (found.status, "No space left on device" in found.text) == ("failure", True)
    assert list(small_disk.iterdir()) == []


def test_nothing_stays_of_a_good_disk(tmp_path: Path, examined: Examined) -> None:
    """A doctor that leaves files, or makes output_dir, where a run is then refused."""
    before = sorted(tmp_path.rglob("*"))
    found = disk.check(examined()) + locks.check(examined())
    assert {finding.status for finding in found} <= {"ok", "warning"}
    assert sorted(tmp_path.rglob("*")) == before


def test_more_checkpoints_than_space_are_a_failure(examined: Examined) -> None:
    """Every checkpoint is kept: a hundred million small ones fill any disk."""
    found = disk.check(examined("train.max_steps=100000000", "train.checkpoint_every=1"))[-1]
    assert (found.status, "100000000 checkpoints" in found.text) == ("failure", True)
    assert "train.checkpoint_every" in found.remedy


def test_checkpoints_that_are_there_need_no_space(examined: Examined) -> None:
    """A resumed run refused for the space of what it has written already."""
    subject = examined()
    assert subject.run is not None
    assert disk.missing_checkpoints(subject.run) == 2
    (subject.run.run_dir / "checkpoints" / "step-00000005").mkdir(parents=True)
    (subject.run.run_dir / "checkpoints" / "step-00000005" / "COMPLETE").touch()
    assert disk.missing_checkpoints(subject.run) == 1


def test_a_slow_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Network storage of 2 MB/s, on which a checkpoint takes a night."""
    monkeypatch.setattr(disk, "_timed_write", lambda folder: 32.0)
    (found,) = disk.check(Subject())
    assert (found.status, "takes 2 MB/s" in found.text) == ("warning", True)


@pytest.mark.parametrize(
    ("overrides", "trained", "each"),
    [
        # embeddings 400 x 32; a layer: q 32x32, k and v 32x16, o 32x32, q and k norms 8, three of 32x64, two
        # norms of 32; the last norm
        ((), 400 * 32 + 2 * (4 * 32 * 32 - 2 * 32 * 16 + 2 * 8 + 3 * 32 * 64 + 64) + 32, 20),
        (("model.dtype=bfloat16",), 400 * 32 + 2 * (3 * 32 * 32 + 2 * 8 + 3 * 32 * 64 + 64) + 32, 16),
        # rank 2: q, o (32+32), k, v (32+16), three of (32+64), in each of two layers
        (("model.lora={rank: 2, alpha: 4}",), 2 * 2 * (2 * 64 + 2 * 48 + 3 * 96), 20),
    ],
)
def test_a_checkpoint_is_as_large_as_its_parts(
    examined: Examined, overrides: tuple[str, ...], trained: int, each: int
) -> None:
    """Frozen weights counted, or the optimizer's forgotten: five times too much or too little."""
    run = examined(*overrides).run
    assert run is not None
    assert disk.checkpoint_size(run) == trained * each


def test_locks_that_do_not_lock_are_a_failure(monkeypatch: pytest.MonkeyPatch, examined: Examined) -> None:
    """NFS mounted with nolock says yes to everybody: two trainings write into one run."""
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    (found,) = locks.check(examined())
    assert (found.status, "at the same time" in found.text) == ("failure", True)


def test_a_read_only_folder_is_a_failure(small_disk: Path, examined: Examined) -> None:
    """A volume that was mounted for reading."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    subject = examined(f"output_dir={small_disk}")
    found = [*locks.check(subject), disk.check(subject)[0]]
    assert [(one.status, "Read-only file system" in one.text) for one in found] == [("failure", True)] * 2
