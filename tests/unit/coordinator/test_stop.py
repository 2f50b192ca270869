"""`hbt stop`, with the lock of a coordinator but without one."""

import threading
from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.stop import stop
from distributed_hbt.coordinator.stop_file import StopFile, StopWish
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.run_lock import hold
from distributed_hbt.stop_signals import StopSignals
from tests.programs import ROOT


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    overrides = [f"output_dir={tmp_path}", "cluster.name=one"]
    return load_run(ROOT / "launchers/runs/xquad_r_tiny.yaml", overrides)


def test_run_that_nobody_is_at_is_left_alone(config: RunConfig) -> None:
    """Catches a hook that waits for the end of an ended run, and a wish that the next start finds."""
    assert stop(config) == "no hbt submit is at it"
    file = StopFile.of(RunDirectory(config.run_dir))
    assert not file.path.exists()


def test_run_on_another_cluster_is_left_alone(config: RunConfig) -> None:
    """Catches the pods of a cluster that is given up, which stop the run that has gone on in the next."""
    directory = RunDirectory(config.run_dir)
    with hold(directory.submit_lock, "hbt submit"):
        StopFile.of(directory).reset("two")
        assert stop(config) == "is on cluster two, not on one"
        assert not StopFile.of(directory).asked()


def test_it_waits_until_the_run_has_ended(config: RunConfig) -> None:
    """Catches a hook that returns at once: the pod would be killed before the checkpoint is written."""
    directory = RunDirectory(config.run_dir)
    said: list[str] = []
    signals = StopSignals()
    with hold(directory.submit_lock, "hbt submit"), signals:
        file = StopFile.of(directory)
        file.reset("one")
        wish = StopWish(signals, file)
        wish.raise_if_asked()
        asking = threading.Thread(target=lambda: said.append(stop(config)))
        asking.start()
        while not wish.asked():
            assert asking.is_alive()
        with pytest.raises(KeyboardInterrupt):
            wish.raise_if_asked()
        asking.join(1.0)
        assert asking.is_alive()
    asking.join()
    assert said == ["has ended"]
    assert file.cluster() == "one"


def test_it_does_not_wait_for_the_next_attempt(config: RunConfig) -> None:
    """Catches a hook that holds a pod of the old cluster as long as the run goes on in the new one."""
    directory = RunDirectory(config.run_dir)
    said: list[str] = []
    with hold(directory.submit_lock, "hbt submit"):
        file = StopFile.of(directory)
        file.reset("one")
        asking = threading.Thread(target=lambda: said.append(stop(config)))
        asking.start()
        while not file.asked():
            assert asking.is_alive()
        file.reset("two")
        asking.join()
    assert said == ["has ended, and was submitted again"]
