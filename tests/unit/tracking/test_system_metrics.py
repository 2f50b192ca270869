"""System metrics: sampled while the run goes on, and no longer."""

import logging
import queue
import sys
import threading
import time
import types
from collections.abc import Mapping
from typing import Any

import pytest

from distributed_hbt.tracking.system_metrics import SystemMetrics

NAMES = {
    *("system/cpu_utilization_percentage", "system/network_receive_megabytes"),
    *("system/network_transmit_megabytes", "system/system_memory_usage_megabytes"),
    "system/system_memory_usage_percentage",
}


def test_samples_come_until_it_is_closed() -> None:
    """A thread that outlives its run and writes into a finished one."""
    samples: list[Mapping[str, float]] = []
    enough = threading.Event()

    def log(sample: Mapping[str, float]) -> None:
        samples.append(sample)
        if len(samples) == 3:
            enough.set()

    watching = SystemMetrics(log, interval=0.01)
    assert enough.wait(30)
    watching.close()
    count = len(samples)
    time.sleep(0.1)
    assert len(samples) == count
    assert not any(thread.name == "system-metrics" for thread in threading.enumerate())
    assert all(sample.keys() >= NAMES for sample in samples)
    assert all(0 <= sample["system/cpu_utilization_percentage"] <= 100 for sample in samples)


def test_closing_does_not_wait_for_the_next_sample() -> None:
    """The end of every run delayed by up to ten seconds."""
    watching = SystemMetrics(lambda _: None, interval=600)
    began = time.monotonic()
    watching.close()
    assert time.monotonic() - began < 5


def test_a_fault_ends_the_sampling_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """A container without /proc/net, and a thread that dies with a traceback in the log."""

    def broken(_: Mapping[str, float]) -> None:
        raise OSError("no such file")

    with caplog.at_level(logging.WARNING):
        watching = SystemMetrics(broken, interval=0.01)
        watching._thread.join(30)
    watching.close()
    assert "system metrics end here: OSError: no such file" in caplog.text


def test_gpus_tell_what_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a GPU that tells no power, and takes the other figures with it. (NVML itself is played here:
    machines with GPUs are rare.)"""

    class NVMLError(Exception):
        pass

    def power(_: int) -> int:
        raise NVMLError("not supported")

    nvml: Any = types.ModuleType("pynvml")
    nvml.NVMLError, nvml.nvmlInit, nvml.nvmlDeviceGetCount = NVMLError, lambda: None, lambda: 2
    nvml.nvmlDeviceGetHandleByIndex = lambda i: i
    nvml.nvmlDeviceGetMemoryInfo = lambda i: types.SimpleNamespace(used=4e9 * (i + 1), total=16e9)
    nvml.nvmlDeviceGetUtilizationRates = lambda i: types.SimpleNamespace(gpu=70 + i)
    nvml.nvmlDeviceGetPowerUsage = power
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    samples: queue.SimpleQueue[Mapping[str, float]] = queue.SimpleQueue()
    watching = SystemMetrics(samples.put, interval=0.01)
    sample = samples.get(timeout=30)
    watching.close()
    assert {name: value for name, value in sample.items() if "gpu" in name} == {
        "system/gpu_0_memory_usage_megabytes": 4000.0,
        "system/gpu_0_memory_usage_percentage": 25.0,
        "system/gpu_0_utilization_percentage": 70.0,
        "system/gpu_1_memory_usage_megabytes": 8000.0,
        "system/gpu_1_memory_usage_percentage": 50.0,
        "system/gpu_1_utilization_percentage": 71.0,
    }
