"""Traces and times of some steps of a rank."""

import json
from pathlib import Path
from typing import Any

import torch

from distributed_hbt.train.phases import MeasuredPhases, Phases, not_measured

_COLLECTIVES = ("gloo:", "nccl:", "mpi:", "ucc:")
"""How torch names the work of its process groups in a trace."""


class StepProfile:
    """Profiles the steps [first, stop), counted from 0, of rank 0, and writes into `folder`: a trace for
    chrome://tracing or Perfetto, and where the time went, as times.json and times.txt.

    Profiled steps are slower than others: every phase waits for its device.
    """

    def __init__(self, first: int, stop: int, folder: Path, device: torch.device) -> None:
        self._steps = range(first, stop)
        self._folder = folder
        self._device = device
        self._phases = MeasuredPhases(device)
        self._profile: Any = None
        self._seconds: list[float] = []

    def before(self, step: int) -> Phases:
        """What measures the phases of this step."""
        if step not in self._steps:
            return not_measured
        if self._profile is None:
            self._profile = torch.profiler.profile(activities=_activities(self._device))
            self._profile.start()
        return self._phases

    def after(self, step: int, seconds: float) -> None:
        """The step took so long. Writes everything after the last one."""
        if self._profile is None:
            return
        self._seconds.append(seconds)
        if step + 1 >= self._steps.stop:
            self.close()

    def close(self) -> None:
        """Write what was profiled, if anything was and has not been written."""
        if self._profile is None:
            return
        self._profile.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._profile.export_chrome_trace(str(self._folder / "trace.json.gz"))
        times = step_times(dict(self._phases.seconds), self._seconds, _collective_seconds(self._profile))
        (self._folder / "times.json").write_text(json.dumps(times, indent=2) + "\n", encoding="utf-8")
        (self._folder / "times.txt").write_text(as_table(times), encoding="utf-8")
        self._profile = None


def step_times(phases: dict[str, float], steps: list[float], collectives: float) -> dict[str, Any]:
    """Seconds a step: of every phase, of what is in none of them (`rest`), and the whole `step`.

    `collectives` is the work of the process group, which other phases wait for or overlap with: it is no
    further part of the sum.
    """
    count, whole = len(steps), sum(steps)
    seconds = {name: spent / count for name, spent in phases.items()}
    seconds["rest"] = (whole - sum(phases.values())) / count
    return {
        "steps": count,
        "seconds": {**seconds, "step": whole / count},
        "collectives": collectives / count,
    }


def as_table(times: dict[str, Any]) -> str:
    """For people."""
    whole = times["seconds"]["step"]
    lines = [f"{'phase':<26}{'s a step':>10}{'share':>8}"]
    lines += [f"{name:<26}{s:>10.4f}{s / whole:>8.1%}" for name, s in times["seconds"].items()]
    beside = times["collectives"]
    lines.append(f"{'(collectives, in the above)':<26}{beside:>9.4f}{beside / whole:>8.1%}")
    return "\n".join([f"mean of {times['steps']} steps of rank 0", *lines, ""])


def _collective_seconds(profile: Any) -> float:
    found = (event for event in profile.events() if event.name.startswith(_COLLECTIVES))
    return float(sum(event.time_range.elapsed_us() for event in found)) / 1e6


def _activities(device: torch.device) -> list[torch.profiler.ProfilerActivity]:
    kinds = torch.profiler.ProfilerActivity
    return [kinds.CPU, kinds.CUDA] if device.type == "cuda" else [kinds.CPU]
