"""Names to write under until a file or folder is whole, by which leftovers of killed writers are known."""

import os
import shutil
from glob import escape
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def aside(path: Path, suffix: str = "") -> Path:
    """Under which name beside `path` this process writes it: `<name>.partial-<machine>-<process><suffix>`.
    What ended processes have left is removed first."""
    remove_leftovers(path)
    return path.with_name(f"{path.name}.partial-{_machine()}-{_process(os.getpid())}{suffix}")


def remove_leftovers(path: Path) -> None:
    """Remove what processes of this machine that have ended left when they wrote `path`. Whether one of
    another machine has ended can not be seen from here: theirs stays."""
    machine = _machine()
    for leftover in path.parent.glob(f"{escape(path.name)}.partial-{escape(machine)}-*"):
        _, _, of_process = leftover.name.rpartition(f".partial-{machine}-")
        if not _runs(of_process):
            _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _machine() -> str:
    """Containers of one host have a name each; hosts that share a name have started at different times."""
    boot = _BOOT_ID.read_text(encoding="ascii")[:8] if _BOOT_ID.exists() else "0"
    return f"{os.uname().nodename}-{boot}"


def _process(pid: int) -> str:
    """Number and start: the number alone is given again to others. Raises psutil.NoSuchProcess."""
    import psutil

    return f"{pid}.{round(psutil.Process(pid).create_time() * 100)}"


def _runs(of_process: str) -> bool:
    """Whether the process that has put this into a name still runs; so does one that can not be read."""
    import psutil

    pid = of_process.partition(".")[0]
    try:
        return not pid.isdigit() or of_process.startswith(_process(int(pid)))
    except psutil.NoSuchProcess:
        return False
