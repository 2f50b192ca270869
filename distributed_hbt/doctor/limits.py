"""Limits of the machine: shared memory, open files."""

import os
import resource
from pathlib import Path

from distributed_hbt.coordinator.cluster import OBJECT_STORE_BYTES
from distributed_hbt.doctor.finding import Finding, Subject

_MIB = 2**20
NCCL_BYTES = 2**30
"""NVIDIA's troubleshooting page of NCCL asks for containers with --shm-size=1g."""
GOOD_OPEN_FILES, FEW_OPEN_FILES = 8192, 256
"""Ray recommends the first. Two ranks were seen to train with the second; with 64 Ray's node died."""


def check_shared_memory(subject: Subject, folder: Path = Path("/dev/shm")) -> list[Finding]:
    """Ray's object store is there, and what NCCL's ranks of one machine exchange."""
    name = "shared memory"
    if not folder.is_dir():
        return [Finding(name, "warning", f"{folder} is not there", "mount a tmpfs of 1 GiB or more there")]
    here = os.statvfs(folder)
    free = here.f_bavail * here.f_frsize
    what = f"{folder} has {free // _MIB:,} MiB free"
    remedy = "give it more (docker: --shm-size=1g; Kubernetes: an emptyDir of medium Memory on /dev/shm)"
    if subject.gpus_here > 1 and free < NCCL_BYTES:
        return [Finding(name, "failure", f"{what}, NCCL needs {NCCL_BYTES // _MIB:,} MiB", remedy)]
    if free < OBJECT_STORE_BYTES:
        what += f", Ray's object store takes {OBJECT_STORE_BYTES // _MIB:,} MiB and goes to a slower disk"
        return [Finding(name, "warning", what, remedy)]
    return [Finding(name, "ok", what)]


def check_open_files(subject: Subject) -> list[Finding]:
    """Of each process. Ray raises the soft limit of what it starts to the hard one."""
    name = "open files"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = soft if soft == resource.RLIM_INFINITY else hard
    if most == resource.RLIM_INFINITY:
        return [Finding(name, "ok", "a process may open as many files as it likes")]
    what = f"a process may open {soft:,} files, {most:,} where it raises that itself"
    remedy = f"raise it: ulimit -n {GOOD_OPEN_FILES}, LimitNOFILE of a service, or --ulimit nofile of docker"
    if most < FEW_OPEN_FILES:
        return [Finding(name, "failure", what, remedy)]
    if most < GOOD_OPEN_FILES:
        return [Finding(name, "warning", what, remedy)]
    return [Finding(name, "ok", what)]
