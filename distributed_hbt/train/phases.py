"""Where a step's time goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.profiler import record_function

Phases = Callable[[str], AbstractContextManager[object]]
"""phases("loss") around a block: what runs in it is that part of the step."""

_NOTHING = nullcontext()


def not_measured(name: str) -> AbstractContextManager[object]:
    """For steps that nobody profiles."""
    return _NOTHING


class MeasuredPhases:
    """Seconds of every phase, in a trace too. A GPU is waited for at both ends of a phase, so that its work
    counts where it was asked for; phases do not nest."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._device = device

    def __call__(self, name: str) -> AbstractContextManager[object]:
        return self._measured(name)

    @contextmanager
    def _measured(self, name: str) -> Iterator[None]:
        began = self._now()
        with record_function(f"hbt: {name}"):
            yield
        self.seconds[name] += self._now() - began

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
