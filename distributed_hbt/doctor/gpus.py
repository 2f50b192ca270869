"""GPUs, driver, CUDA and NCCL, as the driver and torch see them."""

import shutil
import subprocess

from distributed_hbt.doctor.finding import Finding, Status, Subject

_CHECK = "gpus"
_SECONDS = 60
"""A driver in trouble lets nvidia-smi hang."""


def check(subject: Subject) -> list[Finding]:
    """What torch can use against what the run's ranks take on this machine."""
    import torch

    driver = _driver()
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if seen:
        return [_versions(driver, seen), *_too_few(subject, seen), *_no_bfloat16(subject)]
    if driver is not None:
        status: Status = "failure" if subject.gpus_here else "warning"
        what = f"the driver has {driver}, but torch {torch.__version__} can use none"
        return [Finding(_CHECK, status, what, _update(torch.version.cuda))]
    if subject.gpus_here:
        return _too_few(subject, 0)
    where = "; the ranks have theirs on the cluster" if _elsewhere(subject) else ""
    return [Finding(_CHECK, "ok", f"none here, and none is needed here (torch {torch.__version__}){where}")]


def _driver() -> str | None:
    """What nvidia-smi lists, for people; None where there is none, or it finds no GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer for nvidia-smi within {_SECONDS} s"
    rows = [line for line in done.stdout.splitlines() if line.strip()]
    return f"{len(rows)} x {rows[0]}" if done.returncode == 0 and rows else None


def _versions(driver: str | None, seen: int) -> Finding:
    import torch

    name = torch.cuda.get_device_name(0)
    nccl = ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]
    what = f"{seen} x {name} (driver: {driver or 'nvidia-smi is not there'})"
    return Finding(_CHECK, "ok", f"{what}; CUDA {torch.version.cuda}, NCCL {nccl}")


def _too_few(subject: Subject, seen: int) -> list[Finding]:
    if subject.run is None or subject.gpus_here <= seen:
        return []
    cluster = subject.run.cluster
    what = f"{cluster.num_workers} ranks of cluster.gpus_per_worker {cluster.gpus_per_worker} need"
    remedy = "set cluster.gpus_per_worker=0 to train on CPUs, lower cluster.num_workers, or name --address"
    return [Finding(_CHECK, "failure", f"{what} {subject.gpus_here} GPUs, and {seen} are here", remedy)]


def _no_bfloat16(subject: Subject) -> list[Finding]:
    import torch

    if not subject.gpus_here or subject.run is None or subject.run.model.dtype != "bfloat16":
        return []
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return []
    what = f"{torch.cuda.get_device_name(0)} has no bfloat16"
    return [Finding(_CHECK, "failure", what, "set model.dtype=float32, or use GPUs from Ampere on")]


def _update(cuda: str | None) -> str:
    if cuda is None:
        return "install torch's build for CUDA instead of the one for CPUs"
    return f"install a driver for CUDA {cuda}, or torch for an older CUDA; see CUDA_VISIBLE_DEVICES too"


def _elsewhere(subject: Subject) -> bool:
    return subject.address is not None and subject.run is not None and subject.run.cluster.gpus_per_worker > 0
