"""The C++ compiler, which `train.compile` needs. DeepSpeed compiles nothing for a run: torch's own AdamW
steps its weights, on GPUs and offloaded (train/engine.py)."""

import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from distributed_hbt.doctor.finding import Finding, Subject

_CHECK = "compiler"
_SECONDS = 120
_PROGRAM = "#include <Python.h>\n#include <vector>\nint main() { return std::vector<int>(3).size() != 3; }\n"


def check(subject: Subject) -> list[Finding]:
    """A missing compiler is a failure only where the run has something to compile."""
    run = subject.run
    needed = run is not None and run.train.compile
    trouble = _trouble()
    if trouble is not None:
        what = f"{trouble}, which train.compile{' of the run' if needed else ''} needs"
        remedy = "install g++ and Python's headers (Debian: g++, python3-dev), or name a compiler in CXX"
        return [Finding(_CHECK, "failure" if needed else "warning", what, remedy)]
    if needed:
        return [Finding(_CHECK, "ok", "the layers are compiled in the first steps (train.compile)")]
    return [
        Finding(_CHECK, "ok", "nothing of the run is compiled" if run else "a C++ program can be compiled")
    ]


def _trouble() -> str | None:
    """What keeps a C++ program with Python's headers from being compiled."""
    name = os.environ.get("CXX", "g++")
    program = shutil.which(name)
    if program is None:
        return f"{name} is not there"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "program.cpp"
        source.write_text(_PROGRAM, encoding="utf-8")
        command = [program, f"-I{sysconfig.get_path('include')}", str(source), "-o", f"{folder}/program"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"{name} did not end within {_SECONDS} s"
    if done.returncode == 0:
        return None
    complaint = next((line for line in done.stderr.splitlines() if "error" in line), "it failed")
    return f"{name} can not compile ({' '.join(complaint.split())[:200]})"
