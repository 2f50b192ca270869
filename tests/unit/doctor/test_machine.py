"""Compiler, GPUs, loopback and limits, each with a machine on which it is really broken."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from distributed_hbt.coordinator.cluster import OBJECT_STORE_BYTES
from distributed_hbt.doctor import compiler, gpus, limits, loopback
from distributed_hbt.doctor.finding import Subject
from tests.unit.doctor.conftest import Examined

OFFLOADED = '{"zero_optimization": {"stage": 2, "offload_optimizer": {"device": "cpu"}}}'


def test_a_missing_compiler_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that compiles nothing, refused for want of a compiler."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = compiler.check(Subject())
    assert (found.status, "g++ is not there" in found.text) == ("warning", True)


def test_a_run_that_compiles_fails_without_a_compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    """torch.compile looks for it in the first step: the run dies there, after minutes."""
    subject = examined("train.compile=true")
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = compiler.check(subject)
    assert found.status == "failure"
    assert "g++ is not there, which train.compile of the run needs" in found.text


def test_a_compiler_that_can_not_compile_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's headers are missing: g++ is there, and every build fails."""
    monkeypatch.setattr(compiler, "_PROGRAM", "#include <not_there.h>\n")
    (found,) = compiler.check(Subject())
    assert found.status == "warning"
    assert "not_there.h" in found.text


@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++; Debian: apt-get install g++")
def test_what_a_run_compiles_is_said(tmp_path: Path, examined: Examined) -> None:
    """A compilation announced that never comes: offloaded state is stepped by torch, not by DeepSpeed's."""
    (tmp_path / "offload.json").write_text(OFFLOADED, encoding="utf-8")
    offloaded = f"train.deepspeed={tmp_path}/offload.json"
    (found,) = compiler.check(examined(offloaded))
    assert (found.status, found.text) == ("ok", "nothing of the run is compiled")
    (found,) = compiler.check(examined(offloaded, "train.compile=true"))
    assert (found.status, "train.compile" in found.text) == ("ok", True)


def test_ranks_with_gpus_need_gpus_here(examined: Examined) -> None:
    """The default of gpus_per_worker, 1, on a machine without any; elsewhere they may be."""
    if shutil.which("nvidia-smi"):
        pytest.skip("this machine has GPUs")
    (found,) = gpus.check(examined("cluster.gpus_per_worker=1"))
    assert found.status == "failure"
    assert "need 2 GPUs, and 0 are here" in found.text
    (found,) = gpus.check(examined("cluster.gpus_per_worker=1", address="10.0.0.1:6379"))
    assert (found.status, "on the cluster" in found.text) == ("ok", True)


def test_gpus_that_torch_can_not_use_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examined: Examined
) -> None:
    """torch's build for CPUs on a machine with GPUs: the run would take weeks."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("torch can use the GPUs of this machine")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB, 550.54'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    (found,) = gpus.check(Subject())
    assert (found.status, "1 x NVIDIA H100, 81559 MiB, 550.54" in found.text) == ("warning", True)
    (found,) = gpus.check(examined("cluster.gpus_per_worker=1"))
    assert found.status == "failure"


def test_an_interface_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GLOO_SOCKET_IFNAME of another machine in the environment."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "nosuch0")
    found = loopback.check(Subject())[0]
    assert found.status == "failure"
    assert "GLOO_SOCKET_IFNAME" in found.remedy
    assert "between 2 processes" in found.text


def test_ranks_that_hang_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A doctor that waits for ever for what is broken."""
    monkeypatch.setattr(loopback, "SECONDS", 0.5)
    found = loopback.check(Subject())[0]
    assert (found.status, "no answer within" in found.text) == ("failure", True)


def test_small_shared_memory_is_seen(small_disk: Path, examined: Examined) -> None:
    """A container's 64 MB: Ray becomes slow, and NCCL dies."""
    (found,) = limits.check_shared_memory(Subject(), small_disk)
    assert (found.status, "has 1 MiB free" in found.text) == ("warning", True)
    (found,) = limits.check_shared_memory(examined("cluster.gpus_per_worker=1"), small_disk)
    assert (found.status, "NCCL needs 1,024 MiB" in found.text) == ("failure", True)


def test_shared_memory_that_is_missing_is_seen(tmp_path: Path) -> None:
    """A chroot without /dev/shm."""
    (found,) = limits.check_shared_memory(Subject(), tmp_path / "absent")
    assert found.status == "warning"
    assert OBJECT_STORE_BYTES == 256 * 2**20  # the tmpfs asked for in the remedy holds it


@pytest.mark.parametrize(("limit", "status"), [(64, "failure"), (256, "warning"), (8192, "ok")])
def test_open_files_are_counted_by_the_hard_limit(limit: int, status: str) -> None:
    """`ulimit -n 64` of a hardened host: Ray's node dies as the ranks start."""
    program = (
        "from distributed_hbt.doctor import finding, limits\n"
        "print(*(f.status for f in limits.check_open_files(finding.Subject())))"
    )
    command = ["bash", "-c", f'ulimit -n {limit} && exec "$0" -c "$1"', sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [status]
