"""How long a killed run takes to get going again, and where the time goes.

python benchmarks/restart.py [--repeats 5] [--tree NAME=FOLDER ...]

Two ranks of a tiny run under torchrun are killed after a checkpoint and started again at once; the time ends
with the first finished step. Each rank says itself how long each part took (distributed_hbt/start_times.py),
in seconds and in seconds of CPU. Several checkouts are measured in turns, so that what else this machine does
falls on all of them alike.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.distributed.run_for_tests import ROOT, write_run

_CHECKPOINT_EVERY = 5
_LINE = re.compile(r"(CPU: )?first step after [\d.]+ s: (.*)")
Parts = Mapping[str, float]


@dataclass(frozen=True)
class Restart:
    """Seconds from the kill to the next finished step; of each rank's parts, by the clock and of the CPU.
    Rank 0 is the one that tracks."""

    seconds: float
    wall: tuple[Parts, Parts]
    cpu: tuple[Parts, Parts]


def restart(tree: Path, folder: Path, name: str) -> Restart:
    """Kill a run of the code in `tree` and start it again."""
    run = folder / "runs" / name
    log = folder / f"{name}.log"
    with _started(tree, folder, name, log) as first:
        _wait(first, lambda: _last_step(run) > _CHECKPOINT_EVERY, log)
    killed, killed_at = time.perf_counter(), time.time()
    log.unlink()
    with _started(tree, folder, name, log) as second:
        path = run / "train.jsonl"
        _wait(second, lambda: path.stat().st_mtime > killed_at and _last_step(run) > _CHECKPOINT_EVERY, log)
        seconds = time.perf_counter() - killed
        _wait(second, lambda: len(_LINE.findall(log.read_text())) == 4, log)
    wall, cpu = _parts(log.read_text())
    return Restart(seconds, wall, cpu)


@contextlib.contextmanager
def _started(tree: Path, folder: Path, name: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The run as a process; it and its ranks are killed at the end."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "distributed_hbt.train", str(folder / "run.yaml"), f"name={name}", "--debug"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=log.open("wb"), stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        tree_of = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        for child in tree_of:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(tree_of)
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", reached: Callable[[], bool], log: Path) -> None:
    while not reached():
        if process.poll() is not None:
            raise SystemExit(log.read_text())
        time.sleep(0.005)


def _last_step(run: Path) -> int:
    path = run / "train.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _parts(log: str) -> tuple[tuple[Parts, Parts], tuple[Parts, Parts]]:
    wall: list[Parts] = []
    cpu: list[Parts] = []
    for of_cpu, line in _LINE.findall(log):
        pairs = (part.rsplit(" ", 1) for part in line.split(", "))
        (cpu if of_cpu else wall).append({name: float(value) for name, value in pairs})
    ordered = [sorted(of, key=lambda parts: "tracking" not in parts) for of in (wall, cpu)]
    return (ordered[0][0], ordered[0][1]), (ordered[1][0], ordered[1][1])


def table(restarts: Mapping[str, Sequence[Restart]]) -> str:
    """Markdown: the parts of both ranks, medians (ranges) of the seconds and of the CPU's."""
    lines = ["| | " + " | ".join(restarts) + " |", "|---" * (1 + len(restarts)) + "|"]
    lines.append(
        _row("from the kill to the next step, s", [[one.seconds for one in of] for of in restarts.values()])
    )
    for rank in (0, 1):
        for kind in ("wall", "cpu"):
            of_rank = {name: [getattr(one, kind)[rank] for one in of] for name, of in restarts.items()}
            title = f"rank {rank}, {'CPU s' if kind == 'cpu' else 's'}"
            lines.append(_row(f"**{title}**", [[sum(p.values()) for p in of] for of in of_rank.values()]))
            parts = list(next(iter(of_rank.values()))[0])
            lines += [
                _row(part, [[p.get(part, 0.0) for p in of] for of in of_rank.values()]) for part in parts
            ]
    return "\n".join(lines)


def _row(name: str, values: Sequence[Sequence[float]]) -> str:
    cells = [f"{statistics.median(of):.2f} ({min(of):.2f} to {max(of):.2f})" for of in values]
    return f"| {name} | {' | '.join(cells)} |"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    described = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    described.add_argument("--repeats", type=int, default=5)
    described.add_argument("--tree", action="append", metavar="NAME=FOLDER", help="default: this checkout")
    return described


def main() -> None:
    options = parser().parse_args()
    trees = dict(tree.split("=", 1) for tree in options.tree or [f"now={ROOT}"])
    restarts: dict[str, list[Restart]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(prefix="hbt-restart-") as folder:
        train = {"max_steps": 100_000, "checkpoint_every": _CHECKPOINT_EVERY}
        write_run(Path(folder), train=train)
        for turn in range(options.repeats):
            for name, tree in trees.items():
                restarts[name].append(restart(Path(tree), Path(folder), f"{name}-{turn}"))
                print(f"{name}: {restarts[name][-1].seconds:.1f} s", file=sys.stderr, flush=True)
    print(table(restarts))


if __name__ == "__main__":
    main()
