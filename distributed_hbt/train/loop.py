"""The training loop: batch, backward, step, log, checkpoint."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from distributed_hbt.config.train import TrainConfig
from distributed_hbt.data.rank_batch import RankBatch, RankBatches
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.losses.objective import Objective
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.stop_signals import StopAsked
from distributed_hbt.train.engine import Session
from distributed_hbt.train.schedule import learning_rate
from distributed_hbt.train.step import Backward, cached_backward, make_chunks, plain_backward


@dataclass(frozen=True)
class StepRecord:
    """One line of train.jsonl. `step` counts finished steps; tokens are of the global batch."""

    step: int
    loss: float
    lr: float
    grad_norm: float
    batch_kind: str
    languages: tuple[str, ...]
    num_negatives: int
    real_tokens: int
    padded_tokens: int
    tokens_per_second: float
    seconds: float


@dataclass(frozen=True)
class Trainer:
    """What a step needs; nothing of it changes while training but the engine's weights."""

    session: Session
    engine: Any
    batches: RankBatches
    texts: TextEncoder
    objective: Objective
    train: TrainConfig
    seed: int

    def step(self, step: int, *, stop_asked: bool = False) -> tuple[StepRecord, bool]:
        """Do step `step`, counted from 0; its record, and whether any rank was asked to stop.

        Raises WorkerFailed on every rank if the loss is not finite.
        """
        began = time.perf_counter()
        batch = self.batches.batch(step)
        chunks = make_chunks(
            batch, self.texts, seed=self.seed, rank=self.session.ranks.rank, device=self.session.device
        )
        rate = learning_rate(self.train, step)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        loss = self.backward(self.engine, batch, chunks, self.objective)
        mean_loss, stop = self._over_ranks(loss, stop_asked)
        if not math.isfinite(mean_loss):
            raise WorkerFailed(
                f"step {step + 1}",
                f"the loss is {mean_loss} ({batch.kind} batch of {', '.join(batch.languages)})",
                "lower train.learning_rate or raise train.temperature; resume starts at the last checkpoint",
            )
        norm = self._step_engine()
        seconds = time.perf_counter() - began
        return self._record(batch, step, mean_loss, rate, norm, seconds), stop

    @property
    def backward(self) -> Backward:
        return cached_backward if self.train.gradient == "cached" else plain_backward

    def _over_ranks(self, loss: Tensor, stop_asked: bool) -> tuple[float, bool]:
        """Mean loss, and whether any rank was asked to stop: one reduction, so that all agree on the step."""
        asked = torch.tensor(float(stop_asked), dtype=torch.float64, device=loss.device)
        total_2 = torch.stack([loss.detach().double(), asked])
        dist.all_reduce(total_2)
        total_loss, ranks_asked = total_2.tolist()
        return total_loss / self.session.ranks.world_size, ranks_asked > 0

    def _step_engine(self) -> float:
        """Step, and return the gradient norm before clipping."""
        if self.session.stage == 0 and not self.engine.bfloat16_enabled():
            norm = whole_gradient_norm(self.engine)  # DeepSpeed reports none here
            self.engine.step()
            return norm
        self.engine.step()
        return float(self.engine.get_global_grad_norm())

    def _record(
        self, batch: RankBatch, step: int, loss: float, rate: float, norm: float, seconds: float
    ) -> StepRecord:
        columns = batch.passages.counts_N
        candidates = sum(batch.passage_counts) if columns is None else int(columns.sum()) + 1
        return StepRecord(
            step=step + 1,
            loss=loss,
            lr=rate,
            grad_norm=norm,
            batch_kind=batch.kind,
            languages=batch.languages,
            num_negatives=candidates - 1,
            real_tokens=batch.real_tokens,
            padded_tokens=batch.padded_tokens,
            tokens_per_second=batch.real_tokens / seconds,
            seconds=seconds,
        )


def whole_gradient_norm(engine: Any) -> float:
    """Norm of gradients that every rank holds whole (ZeRO-0, after the reduction)."""
    grads = [p.grad for p in engine.module.parameters() if p.grad is not None]
    return float(torch.nn.utils.get_total_norm(grads))


def run_steps(
    trainer: Trainer,
    start: int,
    log: Callable[[StepRecord], None],
    checkpoint: Callable[[int], None],
    stop_asked: StopAsked,
) -> int:
    """Steps `start` to the last, or to the one in which any rank was asked to stop; how many are done in all.

    `checkpoint(n)` is called after n steps where one is due, and before a stop.
    """
    done = start
    for step in range(start, trainer.train.max_steps):
        record, stop = trainer.step(step, stop_asked=stop_asked())
        log(record)
        done = step + 1
        if stop or done % trainer.train.checkpoint_every == 0 or done == trainer.train.max_steps:
            checkpoint(done)
        if stop:
            break
    return done
