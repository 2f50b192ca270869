"""Steps whose loss or gradient is not finite: they change nothing, and are counted up to a limit."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.data.store import Store
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.run_directory import write_aside

_SHOWN = 3  # rows in a line
_log = logging.getLogger(__name__)


def spoiling(loss: Tensor) -> Tensor:
    """The loss, whose gradient is not finite where the loss is not, and otherwise as it was to the bit.

    DeepSpeed looks at the gradient's norm over all ranks before it steps. So every rank learns from it that a
    loss was not finite on any of them, without a further exchange and without waiting for the device.
    """
    return loss * (loss.detach() * 0 + 1)  # 0 times what is not finite is not a number


def step_if_finite(engine: Any) -> tuple[Tensor | float, bool]:
    """Step where the gradient is finite; its norm over all ranks before clipping, and whether it was.

    Otherwise weights and optimizer stay as they are, and the gradient is forgotten. All ranks do the same:
    the norm is that of the reduced gradient.
    """
    if engine.zero_optimization_stage() > 0 or engine.bfloat16_enabled():
        engine.step()  # skips by itself
        return engine.get_global_grad_norm(), engine.was_step_applied()
    norm = whole_gradient_norm(engine)  # DeepSpeed looks at none here
    if not bool(norm.isfinite()):
        engine.zero_grad()
        return norm, False
    engine.step()
    return norm, True


def whole_gradient_norm(engine: Any) -> Tensor:
    """Norm of gradients that every rank holds whole (ZeRO-0, after the reduction)."""
    grads = [p.grad for p in engine.module.parameters() if p.grad is not None]
    return torch.nn.utils.get_total_norm(grads)


def spoilt_weights(step: int, good: int) -> WorkerFailed:
    """After a skipped step: the loss is not finite either for the batch of a good one, where it was."""
    what = f"the loss is not finite, nor is it any more for the batch of step {good}: the weights are spoilt"
    remedy = "lower train.learning_rate, raise train.temperature, or set train.max_grad_norm"
    return WorkerFailed(f"step {step}", what, f"{remedy}; resume starts at the last checkpoint")


@dataclass
class SkippedSteps:
    """How many steps a run has skipped, and what of them is kept: a file each in `folder`, by rank 0."""

    limit: int
    folder: Path
    store: Store
    is_first: bool
    count: int = field(default=0)

    def note(self, batch: RankBatch, loss: float, norm: float) -> None:
        """The step of this batch was skipped. Raises WorkerFailed, on every rank, past the limit."""
        self.count += 1
        step = batch.step + 1
        path = self.folder / f"step-{step:08d}.json"
        if not self.is_first and self.count <= self.limit:
            return
        rows = [self.store.where(query) for query in batch.global_query_entries.tolist()]
        what = f"the {'gradient' if _finite(loss) else 'loss'} is not finite; its rows are {_first(rows)}"
        if self.is_first:
            self._write(path, batch, loss, norm, rows)
            _log.warning("step %d is skipped: %s (all in %s)", step, what, path)
        if self.count > self.limit:
            counted = f"so were {self.count} steps, train.max_skipped_steps is {self.limit}"
            raise WorkerFailed(
                f"step {step}",
                f"{what} (all in {path}); {counted}",
                "lower train.learning_rate, raise train.temperature, or mend the rows; resume starts at the "
                "last checkpoint",
            )

    def _write(self, path: Path, batch: RankBatch, loss: float, norm: float, rows: Sequence[str]) -> None:
        content = {
            "step": batch.step + 1,
            "loss": loss if _finite(loss) else None,
            "grad_norm": norm if _finite(norm) else None,
            "batch_kind": batch.kind,
            "languages": batch.languages,
            "rows": rows,
        }
        self.folder.mkdir(exist_ok=True)
        write_aside(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def _first(rows: Sequence[str]) -> str:
    more = len(rows) - _SHOWN
    return ", ".join(rows[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _finite(value: float) -> bool:
    return abs(value) < float("inf")
