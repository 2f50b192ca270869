"""What comes through of the lines that Ray prints for its workers."""

import io
import logging
import subprocess
import sys

import pytest

from distributed_hbt.coordinator.worker_lines import WorkerLines


def shown(*printed: str) -> str:
    target = io.StringIO()
    lines = WorkerLines(target)
    for text in printed:
        print(text, file=lines)
    return target.getvalue()


def test_logged_lines_lose_their_prefix_and_the_mark() -> None:
    """Catches a log that nobody wants to read."""
    assert shown("(RayTrainWorker pid=12) :hbt:step 1 of 8") == "step 1 of 8\n"
    assert shown("(RayTrainWorker pid=12, ip=10.0.0.2) :hbt:rank 1: slow") == "rank 1: slow\n"
    assert shown("\x1b[2K(EvaluationActor pid=3) :hbt:odd") == "\x1b[2Kodd\n"


def test_other_lines_of_workers_are_left_out_with_their_ends(caplog: pytest.LogCaptureFixture) -> None:
    """Catches stacks of killed processes, tips, and empty lines in their place: they are for --debug."""
    with caplog.at_level(logging.DEBUG, "distributed_hbt"):
        assert (
            shown(
                "(RayTrainWorker pid=12) *** SIGABRT received ***",
                "(raylet) A worker died",
                "(raylet, ip=10.83.0.2) *** StackTrace Information ***",
                "(pid=gcs_server) Failed to kill actor",
                "(autoscaler +12s) Tip: use `ray status`",
                "(pid=77) something",
                "(PlacementGroupCleaner pid=5) Failed to query",
            )
            == ""
        )
    assert len(caplog.records) == 7


def test_lines_of_this_process_pass() -> None:
    """Catches a filter that eats what is in brackets."""
    assert shown("(this) is ours", "and :hbt: this", "") == "(this) is ours\nand :hbt: this\n\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, ":hbt:fine\n:hbt:bad\n"), ("rank 3", ":hbt:rank 3: bad\n")],
)
def test_worker_logs_marked_lines_and_other_ranks_only_warnings(name: str | None, expected: str) -> None:
    """Catches every line said once a rank, and libraries at the level of our own."""
    code = f"""
import logging
from distributed_hbt.coordinator.worker_lines import log_to_driver
log_to_driver({name!r})
logging.getLogger("distributed_hbt.x").info("fine")
logging.getLogger("distributed_hbt.x").warning("bad")
logging.getLogger("elsewhere").info("chatter")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == expected
