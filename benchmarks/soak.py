"""Whether anything grows in a long run: memory, open files and threads of every process.

python -m benchmarks.soak [--steps 2000] [--every 100] [--csv FILE] [--picture FILE]

A tiny run under `hbt submit` on a Ray head of this machine: two ranks, and an actor that evaluates a
checkpoint every 100 steps beside them. Every process is looked at every second; what counts is the second
half of the training, when caches are filled. Ends with 1 where something grows (benchmarks/soak_growth.py has
the rule).
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.soak_growth import Sample, draw, growths, table
from tests.coordinator.conftest import Head, ray_head
from tests.distributed.run_for_tests import ROOT, write_run
from tests.lareqa_files import write_lareqa
from tests.programs import BIN

_LOOK_SECONDS = 1.0
_KINDS = {"RayTrainWorker": "rank", "EvaluationActor": "evaluation actor", "TrainController": "controller"}
_RAY = {"raylet": "raylet", "gcs_server": "gcs server"}


def soak(folder: Path, steps: int, every: int) -> list[Sample]:
    """Run it, and look at its processes until it has ended. Raises SystemExit where it fails."""
    benchmark = write_lareqa(folder / "benchmark", ["de", "en"])
    run_file = write_run(
        folder,
        train={"max_steps": steps, "checkpoint_every": every},
        evaluation={"every": every, "benchmarks": [benchmark]},
        cluster={"num_workers": 2, "gpus_per_worker": 0},
    )
    log = folder / "log"
    with ray_head("--num-cpus=3") as head:
        process = subprocess.Popen(
            [str(BIN / "hbt"), "submit", str(run_file), "--address", head.address],
            cwd=ROOT,
            env={**os.environ, **head.environment},
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        samples = list(_watched(process, head, folder / "runs" / "tiny"))
    if process.returncode != 0:
        raise SystemExit(log.read_text())
    return samples


def _watched(process: "subprocess.Popen[bytes]", head: Head, run: Path) -> Iterator[Sample]:
    began, numbers = time.monotonic(), dict[psutil.Process, str]()
    while process.poll() is None:
        seconds, step = time.monotonic() - began, _last_step(run)
        for one in [psutil.Process(process.pid), *head.descendants()]:
            try:
                name = numbers.get(one) or _name(one, process.pid, set(numbers.values()))
                if name:
                    numbers[one] = name  # a worker of Ray's has no name before it has something to do
                    yield Sample(
                        seconds, step, name, one.memory_info().rss / 2**20, one.num_fds(), one.num_threads()
                    )
            except psutil.Error:  # it has just ended
                numbers.pop(one, None)
        time.sleep(_LOOK_SECONDS)


def _name(process: psutil.Process, coordinator: int, taken: set[str]) -> str:
    """What a process is, "" for what is not the run's and none of Ray's core."""
    if process.pid == coordinator:
        return "coordinator"
    command = " ".join(process.cmdline())
    kind = next((kind for mark, kind in _KINDS.items() if mark in command), _RAY.get(process.name(), ""))
    if kind != "rank":
        return kind
    return next(name for name in (f"rank {n}" for n in range(99)) if name not in taken)


def _last_step(run: Path) -> int:
    path = run / "train.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    described = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    described.add_argument("--steps", type=int, default=2000)
    described.add_argument("--every", type=int, default=100)
    described.add_argument("--csv", type=Path, help="all samples")
    described.add_argument("--picture", type=Path, help="a plot, as PNG or SVG")
    return described


def main() -> int:
    options = parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="hbt-soak-") as folder:
        samples = soak(Path(folder), options.steps, options.every)
    if options.csv:
        with options.csv.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([Sample._fields, *samples])
    found = growths(samples)
    print(table(found))
    if options.picture:
        draw(options.picture, samples)
    return 1 if any(growth.grows for growth in found) else 0


if __name__ == "__main__":
    sys.exit(main())
