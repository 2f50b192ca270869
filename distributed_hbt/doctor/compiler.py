"""The C++ compiler, and the operations of DeepSpeed that a run compiles when it starts."""

import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.doctor.finding import Finding, Subject
from distributed_hbt.train.ops import compiled_ops, unbuildable
from distributed_hbt.train.zero import read_zero, with_deepspeed

_CHECK = "compiler"
_SECONDS = 120
_PROGRAM = "#include <Python.h>\n#include <vector>\nint main() { return std::vector<int>(3).size() != 3; }\n"
_OLD_SECONDS = 900


def check(subject: Subject) -> list[Finding]:
    """A missing compiler is a failure only where the run has something to compile."""
    run = subject.run
    ops = () if run is None else _ops(run)
    needs = [f"DeepSpeed's {op}" for op in ops]
    needs += ["train.compile"] if run is not None and run.train.compile else []
    why = f"{' and '.join(needs)} of the run" if needs else "CPU offload and torch.compile"
    trouble = _trouble()
    if trouble is not None:
        what = f"{trouble}, which {why} {'needs' if len(needs) == 1 else 'need'}"
        remedy = "install g++ and Python's headers (Debian: g++, python3-dev), or name a compiler in CXX"
        found = [Finding(_CHECK, "failure" if needs else "warning", what, remedy)]
    else:
        what = f"to be compiled: {', '.join(needs)}" if needs else "nothing of the run is compiled"
        found = [Finding(_CHECK, "ok", what if run else "a C++ program can be compiled")]
    if needs and shutil.which("ninja") is None:
        what = "ninja is not there, with which DeepSpeed's operations are built"
        found.append(Finding(_CHECK, "failure", what, "pip install ninja"))
    for op in unbuildable(ops) if ops else ():
        what = f"DeepSpeed can not build {op} here, which the run's ZeRO configuration needs"
        remedy = f"run ds_report, which says what {op} misses; or take another train.deepspeed"
        found.append(Finding(_CHECK, "failure", what, remedy))
    return found + _left_locks()


def _ops(run: RunConfig) -> tuple[str, ...]:
    path = with_deepspeed(run).train.deepspeed
    assert path is not None
    return compiled_ops(read_zero(path))


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


def _left_locks() -> list[Finding]:
    """A build that was killed leaves its lock, and the next one waits for it without end."""
    default = Path("~/.cache/torch_extensions").expanduser()
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR", default))
    left = [p for p in sorted(folder.glob("**/lock")) if time.time() - p.stat().st_mtime > _OLD_SECONDS]
    remedy = "remove it, unless something is being built there"
    what = "is the lock of an unfinished build, for which the next one would wait"
    return [Finding(_CHECK, "warning", f"{path} {what}", remedy) for path in left]
