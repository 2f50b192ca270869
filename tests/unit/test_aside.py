"""What killed writers leave, and who removes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distributed_hbt.aside import aside

CODE = "import sys, pathlib, distributed_hbt.aside as a; print(a.aside(pathlib.Path(sys.argv[1])))"


def name_of_ended_process(path: Path) -> Path:
    done = subprocess.run([sys.executable, "-c", CODE, path], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.fixture
def wanted(tmp_path: Path) -> Path:
    return tmp_path / "re[su]lt"


def test_what_an_ended_process_left_is_removed(wanted: Path) -> None:
    """Halves of every killed evaluation and export, kept for ever."""
    folder, file = name_of_ended_process(wanted), name_of_ended_process(wanted)
    folder.mkdir()
    (folder / "half").touch()
    file.touch()
    aside(wanted)
    assert list(wanted.parent.iterdir()) == []


def test_what_may_still_be_written_stays(wanted: Path) -> None:
    """Files taken away under the hands of a process that writes them: another thread's, the parent's, that
    of a process with a number that is used again, and of another machine."""
    own = aside(wanted, "-thread")
    parent = wanted.with_name(own.name.replace(f"-{os.getpid()}.", "-1."))  # another start: ended
    elsewhere = wanted.with_name(f"{wanted.name}.partial-node7-01234567-77.1")
    other = own.with_name(own.name.replace(wanted.name, "result"))
    for path in (own, parent, elsewhere, other):
        path.touch()
    aside(wanted)
    assert sorted(wanted.parent.iterdir()) == sorted([own, elsewhere, other])


def test_the_name_is_beside_and_says_that_it_is_partial(wanted: Path) -> None:
    """A rename across file systems; a half that readers take for a result."""
    assert aside(wanted).parent == wanted.parent
    assert aside(wanted).name.startswith(f"{wanted.name}.partial-")
    assert aside(wanted) == aside(wanted)
