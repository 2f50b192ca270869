"""The file of what is still to be sent."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

from distributed_hbt.tracking.spool import Entry, Spool, entries_of, spool_files, take_over

KILLED = """
import os, signal, sys
from pathlib import Path
from distributed_hbt.tracking.spool import Spool
spool = Spool(Path(sys.argv[1]))
for step in range(100):
    spool.append({"metrics": {"train/loss": 1.5}, "step": step, "time": 1000})
os.kill(os.getpid(), signal.SIGKILL)
"""


def entry(step: int, text: str = "loss") -> Entry:
    return {"metrics": {text: 0.5}, "step": step, "time": 7}


def test_a_killed_process_loses_no_entry(tmp_path: Path) -> None:
    """Entries that wait in a buffer of the process are gone with it, and nobody sends what it has left."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (path,) = spool_files(tmp_path)
    with take_over(path) as taken:
        assert taken
        assert [found["step"] for found in entries_of(path) if found] == list(range(100))


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    """Two processes that send one file send its entries twice, and one removes it under the other."""
    spool = Spool(tmp_path)
    spool.append(entry(1))
    with take_over(spool.path) as taken:
        assert not taken
    spool.close()
    with take_over(spool.path) as taken:
        assert taken
    spool.path.unlink()
    with take_over(spool.path) as taken:
        assert not taken


def test_a_line_that_was_cut_off_is_no_entry(tmp_path: Path) -> None:
    """A machine that lost power in the middle of a line, and a run that never starts again for it."""
    spool = Spool(tmp_path)
    spool.append(entry(1, "größe"))
    spool.close()
    whole = spool.path.read_bytes()
    for length in range(len(whole)):
        spool.path.write_bytes(whole + whole[:length])
        assert list(entries_of(spool.path)) == [entry(1, "größe")]
    spool.path.write_bytes(b"\x00\xff\n[1]\n" + whole)
    assert list(entries_of(spool.path)) == [None, None, entry(1, "größe")]


def test_a_file_of_which_all_is_sent_takes_no_room(tmp_path: Path) -> None:
    """A run of weeks fills the disk with numbers that its store has long had."""
    spool = Spool(tmp_path)
    for start in range(0, 30, 10):
        for step in range(start, start + 10):
            spool.append(entry(step))
        entries, mark = spool.read()
        assert [found["step"] for found in entries] == list(range(start, start + 10))
        assert spool.read() == (entries, mark)  # until it is told that they are sent
        assert spool.waiting() == 10
        spool.sent(mark)
        assert spool.path.stat().st_size == 0
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_entries_longer_than_a_read_are_read_whole(tmp_path: Path) -> None:
    """A line longer than the block that is read at once would be cut, or never be read."""
    spool = Spool(tmp_path)
    for step in range(3):
        spool.append({**entry(step), "folder": "x" * 300_000})
    steps = []
    while (read := spool.read())[0]:
        steps += [found["step"] for found in read[0]]
        spool.sent(read[1])
    assert steps == [0, 1, 2]
    spool.close()


def test_a_disk_that_is_full_costs_no_entry_and_leaves_no_half_line(tmp_path: Path) -> None:
    """Half a line before the next one makes both unreadable; a full disk that ends the training."""
    spool = Spool(tmp_path)
    spool.append(entry(1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = spool.path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, hard))  # the next write is cut, then refused
    try:
        spool.append(entry(2))
        spool.append(entry(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert spool.unwritten is not None
    assert list(entries_of(spool.path)) == [entry(1)]
    spool.append(entry(4))
    steps = []
    while (read := spool.read())[0]:
        steps += [found["step"] for found in read[0]]
        spool.sent(read[1])
    assert sorted(steps) == [1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == [spool.path]
    spool.close()
