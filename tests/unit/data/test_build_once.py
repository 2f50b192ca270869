"""Folders that are built once, with real processes."""

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from distributed_hbt.data.build_once import MARKER, build_once, damage
from distributed_hbt.errors import ConfigError, DataError

ROOT = Path(__file__).resolve().parents[3]
BUILDER = """
import sys, time
from collections.abc import Callable
from pathlib import Path
from distributed_hbt.data.build_once import build_once
folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
def build(partial):
    with (folder.parent / "builds").open("a") as log:
        log.write("built\\n")
    (partial / "half").write_text("half")
    time.sleep(seconds)
    (partial / "rest").write_text("the rest")
build_once(folder, build)
print(sorted(path.name for path in folder.iterdir()))
"""


def start(folder: Path, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", BUILDER, str(folder), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def write(text: str) -> Callable[[Path], None]:
    def build(partial: Path) -> None:
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text(text)

    return build


def test_processes_that_ask_at_once_build_once_and_all_see_the_whole(tmp_path: Path) -> None:
    """Two ranks that both build would write into each other's files, or do the hours of work twice."""
    builders = [start(tmp_path / "made", 1.0) for _ in range(3)]
    seen = [process.communicate(timeout=60)[0].strip() for process in builders]
    assert seen == ["['COMPLETE', 'half', 'rest']"] * 3
    assert (tmp_path / "builds").read_text() == "built\n"


def test_a_killed_builder_leaves_no_lock_and_its_remains_are_removed(tmp_path: Path) -> None:
    """A lock file that outlives its owner would hang every later run."""
    builder = start(tmp_path / "made", 600)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("made.partial-*/half")):
        assert time.monotonic() < deadline, "the builder did not start"
        time.sleep(0.02)
    builder.kill()
    builder.communicate()
    assert not (tmp_path / "made").exists()
    build_once(tmp_path / "made", write("whole"))
    assert (tmp_path / "made" / "inner" / "file").read_text() == "whole"
    assert list(tmp_path.glob("*.partial-*")) == []


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A half-built folder would be taken for the data."""

    def refuse(partial: Path) -> None:
        (partial / "file").write_text("half")
        raise DataError("rows.jsonl:3", "is no row", "mend it")

    with pytest.raises(DataError, match="is no row"):
        build_once(tmp_path / "made", refuse)
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_a_whole_folder_is_not_built_again(tmp_path: Path) -> None:
    """Every start of a run would tokenize anew."""
    build_once(tmp_path / "made", write("first"))
    build_once(tmp_path / "made", write("second"))
    assert (tmp_path / "made" / "inner" / "file").read_text() == "first"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("truncate", r"is damaged \(inner/file has 2 bytes, not 5\)"),
        ("remove", "has lost inner/file"),
        ("unmark", "has no COMPLETE"),
        ("garble", "has an unreadable COMPLETE"),
    ],
)
def test_a_damaged_folder_is_seen_and_built_anew(tmp_path: Path, what: str, said: str) -> None:
    """A full disk or an interrupted copy would be trained on, or fail deep inside a reader."""
    folder = tmp_path / "made"
    build_once(folder, write("first"))
    if what == "truncate":
        (folder / "inner" / "file").write_text("fi")
    elif what == "remove":
        (folder / "inner" / "file").unlink()
    elif what == "unmark":
        (folder / MARKER).unlink()
    else:
        (folder / MARKER).write_text('{"inner/fi')
    found = damage(folder)
    assert found is not None
    assert re.search(said, found)
    build_once(folder, write("second"))
    assert damage(folder) is None
    assert (folder / "inner" / "file").read_text() == "second"


def test_a_place_that_can_not_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    """A traceback from deep inside pathlib names no field."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"data\.store_dir: .*file can not be written"):
        build_once(tmp_path / "file" / "made", write("never"))
