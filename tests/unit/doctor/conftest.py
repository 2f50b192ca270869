"""A run to be examined, and small disks."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.doctor.finding import Subject
from tests.distributed.run_for_tests import write_run

Examined = Callable[..., Subject]


@pytest.fixture
def examined(tmp_path: Path) -> Examined:
    """examined(*overrides, address=None): a tiny run that works here, but for the overrides."""
    run_file = write_run(tmp_path, cluster={"num_workers": 2, "gpus_per_worker": 0})

    def subject(*overrides: str, address: str | None = None) -> Subject:
        return Subject(load_run(run_file, overrides), address)

    return subject


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs root and the right to mount a tmpfs: run the tests as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
