"""One coordinator at a run."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.coordinator import submit as module
from distributed_hbt.coordinator.stop_file import StopFile
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.run_lock import hold
from tests.distributed.run_for_tests import write_run


class ConnectedError(Exception):
    """The locks were had."""


@contextlib.contextmanager
def connected(_address: str | None) -> Iterator[None]:
    raise ConnectedError
    yield


@pytest.fixture
def run_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "connected", connected)
    return write_run(tmp_path, cluster={"num_workers": 2, "gpus_per_worker": 0})


def test_second_submit_is_refused_at_once(run_file: Path) -> None:
    """Catches two coordinators at one run, and a second one that waits without being asked to."""
    config = load_run(run_file)
    directory = RunDirectory(config.run_dir)
    with hold(directory.submit_lock, "hbt submit"), pytest.raises(ConfigError, match="another hbt submit"):
        module.submit([config])


def test_next_attempt_waits_for_the_one_before(run_file: Path) -> None:
    """Catches an attempt in a new cluster that is spent because the old one's pods have not ended yet."""
    config = load_run(run_file, ["cluster.name=two"])
    directory = RunDirectory(config.run_dir)
    held, free = threading.Event(), threading.Event()

    def before() -> None:
        with hold(directory.submit_lock, "hbt submit"):
            StopFile.of(directory).reset("one")
            held.set()
            free.wait()

    one = threading.Thread(target=before)
    one.start()
    held.wait()
    releasing = threading.Timer(0.5, free.set)
    releasing.start()
    with pytest.raises(ConnectedError):
        module.submit([config])
    assert free.is_set()
    assert StopFile.of(directory).cluster() == "two"
    one.join()
