"""Files that are there whole or not at all."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.errors import WorkerFailed
from distributed_hbt.evaluation.whole_file import written_whole


def write(path: Path, size: int, error: Exception | None = None) -> None:
    with written_whole(path) as partial:
        partial.write_bytes(bytes(size))
        if error is not None:
            raise error


def test_what_is_written_stands_under_its_name(tmp_path: Path) -> None:
    """Catches a folder that is not made, or a leftover beside the file."""
    write(tmp_path / "folder" / "file", 3)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    write(tmp_path / "folder" / "file", 5)
    assert (tmp_path / "folder" / "file").stat().st_size == 5


def test_nothing_is_left_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    """Catches half a file under the name of a whole one."""
    with pytest.raises(RuntimeError):
        write(tmp_path / "file", 3, RuntimeError())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not allowed here; run as root")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing(small_disk: Path) -> None:
    """Catches a traceback, and a partial file that keeps the disk full."""
    with pytest.raises(
        WorkerFailed, match=r"file: can not be written \(No space left on device\); free some"
    ):
        write(small_disk / "file", 2_000_000)
    assert list(small_disk.iterdir()) == []
