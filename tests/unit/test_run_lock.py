"""One holder at a time, whatever becomes of it."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from distributed_hbt.errors import ConfigError
from distributed_hbt.run_lock import hold

HOLDER = """
import sys
from pathlib import Path
from distributed_hbt.run_lock import hold
with hold(Path(sys.argv[1]), "training"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "run" / "training.lock"


def holder(lock: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLDER, str(lock)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_second_holder_is_refused_until_the_first_is_killed(lock: Path) -> None:
    """Catches two at once, and a lock that a SIGKILL leaves behind."""
    process = holder(lock)
    message = "run: another training is at this run; wait for it to end, or give the run another name"
    with pytest.raises(ConfigError, match=message), hold(lock, "training"):
        pass
    process.kill()
    process.communicate()
    with hold(lock, "training"):
        pass


def test_waiting_holder_says_so_and_gets_the_lock(lock: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Catches a silent wait, and one that ends although the lock came free."""
    process = holder(lock)

    class Release(logging.Handler):
        """Lets go once the other waits."""

        def emit(self, record: logging.LogRecord) -> None:
            process.kill()

    logger = logging.getLogger("distributed_hbt.run_lock")
    handler = Release()
    logger.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO, "distributed_hbt"), hold(lock, "training", wait_seconds=600):
            assert "waiting up to 600 s for another training to end" in caplog.text
    finally:
        logger.removeHandler(handler)
        process.communicate()


def test_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    """Catches a stack where the run directory is in a file's place."""
    (tmp_path / "run").touch()
    with pytest.raises(ConfigError, match="can not be locked"), hold(tmp_path / "run" / "lock", "training"):
        pass
