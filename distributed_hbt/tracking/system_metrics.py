"""How busy the machine is, sampled beside the training under the names that MLflow's pages know."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

INTERVAL_SECONDS = 10.0
_MEGABYTE = 1e6
_log = logging.getLogger(__name__)


class SystemMetrics:
    """Samples in a thread of its own until it is closed; never raises, never waits for the store."""

    def __init__(
        self, log: Callable[[Mapping[str, float]], None], *, interval: float = INTERVAL_SECONDS
    ) -> None:
        """`log` takes what was measured over the last `interval` seconds, and returns at once."""
        self._log = log
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No sample comes after this."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        try:
            sample = _sampler()
            while not self._stop.wait(self._interval):
                self._log(sample())
        # A driver, or a container without these files, may raise anything; training has no need of it.
        except Exception as error:
            _log.warning("system metrics end here: %s: %s", type(error).__name__, error)


def _sampler() -> Callable[[], dict[str, float]]:
    """Gives CPU and network use since it was last called, and memory and GPU use at the time."""
    import psutil

    psutil.cpu_percent()  # the first call has nothing to compare with
    before = psutil.net_io_counters()
    gpus = _gpus()

    def sample() -> dict[str, float]:
        memory, network = psutil.virtual_memory(), psutil.net_io_counters()
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system/system_memory_usage_percentage": memory.percent,
            "system/network_receive_megabytes": (network.bytes_recv - before.bytes_recv) / _MEGABYTE,
            "system/network_transmit_megabytes": (network.bytes_sent - before.bytes_sent) / _MEGABYTE,
            **dict(_of_gpus(gpus)),
        }

    return sample


def _gpus() -> list[Any]:
    """NVML's handles; none without a driver, or without the package nvidia-ml-py."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError:
        return []
    except pynvml.NVMLError:
        return []
    return [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]


def _of_gpus(handles: list[Any]) -> Iterator[tuple[str, float]]:
    if not handles:
        return
    import pynvml

    for i, handle in enumerate(handles):
        with contextlib.suppress(pynvml.NVMLError):  # not every GPU, or part of one, tells everything
            memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
            yield f"system/gpu_{i}_memory_usage_megabytes", memory.used / _MEGABYTE
            yield f"system/gpu_{i}_memory_usage_percentage", 100 * memory.used / memory.total
        with contextlib.suppress(pynvml.NVMLError):
            busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
            yield f"system/gpu_{i}_utilization_percentage", float(busy)
        with contextlib.suppress(pynvml.NVMLError):
            yield f"system/gpu_{i}_power_usage_watts", pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
