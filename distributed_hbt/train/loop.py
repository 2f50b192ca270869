"""The training loop: batch, backward, step, log, checkpoint."""

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from distributed_hbt.config.train import TrainConfig
from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.errors import WorkerFailed
from distributed_hbt.losses.objective import Objective
from distributed_hbt.stop_signals import StopAsked
from distributed_hbt.train.engine import Session
from distributed_hbt.train.inputs import InputMaker, StepInputs
from distributed_hbt.train.phases import Phases, not_measured
from distributed_hbt.train.profile import StepProfile
from distributed_hbt.train.schedule import learning_rate
from distributed_hbt.train.step import cached_backward, plain_backward
from distributed_hbt.train.teacher import Teacher


@dataclass(frozen=True)
class StepRecord:
    """One line of train.jsonl. `step` counts finished steps; tokens are of the global batch, of which
    `repeated_tokens` were left out: passages that further rows share are encoded once."""

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
    repeated_tokens: int


@dataclass(frozen=True)
class Trainer:
    """What a step needs; nothing of it changes while training but the engine's weights.

    `reduces_once`: cached gradients are reduced after the last chunk, where the ZeRO stage lets them.
    """

    session: Session
    engine: Any
    inputs: InputMaker
    objective: Objective
    train: TrainConfig
    reduces_once: bool
    teacher: Teacher | None = None

    def step(
        self,
        inputs: StepInputs,
        *,
        began: float | None = None,
        stop_asked: bool = False,
        phases: Phases = not_measured,
    ) -> tuple[StepRecord, bool]:
        """Do the step of these inputs; its record, and whether any rank was asked to stop.

        `began` is when it began (time.perf_counter), if that was before this call. The device is waited for
        once, at the end. Raises WorkerFailed on every rank if the loss is not finite.
        """
        began = time.perf_counter() if began is None else began
        rate = learning_rate(self.train, inputs.batch.step)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        loss = self._backward(inputs, phases)
        total_2 = self._over_ranks(loss, stop_asked)
        with phases("optimizer"):
            norm = self._step_engine()
        mean_loss, ranks_asked = (total_2 / self.session.ranks.world_size).tolist()
        if not math.isfinite(mean_loss):
            raise WorkerFailed(
                f"step {inputs.batch.step + 1}",
                f"the loss is {mean_loss} ({inputs.batch.kind} batch of {', '.join(inputs.batch.languages)})",
                "lower train.learning_rate or raise train.temperature; resume starts at the last checkpoint",
            )
        seconds = time.perf_counter() - began
        return self._record(inputs.batch, mean_loss, rate, float(norm), seconds), ranks_asked > 0

    def _backward(self, inputs: StepInputs, phases: Phases) -> Tensor:
        if self.teacher is not None:
            with phases("teacher"):
                inputs = self.teacher.answered(inputs)
        if self.train.gradient == "plain":
            return plain_backward(self.engine, inputs, self.objective, phases)
        coalesced = self.reduces_once and self.session.stage > 0
        return cached_backward(self.engine, inputs, self.objective, phases, coalesced=coalesced)

    def _over_ranks(self, loss: Tensor, stop_asked: bool) -> Tensor:
        """Sum of the losses, and number of ranks that were asked to stop: one reduction, so that all agree on
        the step."""
        asked = torch.full((), float(stop_asked), dtype=torch.float64, device=loss.device)
        total_2 = torch.stack([loss.double(), asked])
        dist.all_reduce(total_2)
        return total_2

    def _step_engine(self) -> Tensor | float:
        """Step, and return the gradient norm before clipping."""
        if self.session.stage == 0 and not self.engine.bfloat16_enabled():
            norm = whole_gradient_norm(self.engine)  # DeepSpeed reports none here
            self.engine.step()
            return norm
        self.engine.step()
        found: Tensor | float = self.engine.get_global_grad_norm()
        return found

    def _record(self, batch: RankBatch, loss: float, rate: float, norm: float, seconds: float) -> StepRecord:
        columns = batch.passages.counts_N
        candidates = sum(batch.passage_counts) if columns is None else int(columns.sum()) + 1
        return StepRecord(
            step=batch.step + 1,
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
            repeated_tokens=batch.repeated_tokens,
        )


def whole_gradient_norm(engine: Any) -> Tensor:
    """Norm of gradients that every rank holds whole (ZeRO-0, after the reduction)."""
    grads = [p.grad for p in engine.module.parameters() if p.grad is not None]
    return torch.nn.utils.get_total_norm(grads)


def run_steps(
    trainer: Trainer,
    start: int,
    log: Callable[[StepRecord], None],
    checkpoint: Callable[[int], None],
    stop_asked: StopAsked,
    profile: StepProfile | None = None,
) -> int:
    """Steps `start` to the last, or to the one in which any rank was asked to stop; how many are done in all.

    `checkpoint(n)` is called after n steps where one is due, and before a stop.
    """
    done, last = start, trainer.train.max_steps
    with closing(trainer.inputs.ahead(start, last)) as ahead:
        for step in range(start, last):
            phases = not_measured if profile is None else profile.before(step)
            began = time.perf_counter()
            with phases("data"):
                inputs = next(ahead)
            due = (step + 1) % trainer.train.checkpoint_every == 0 or step + 1 == last
            asked = stop_asked(at_checkpoint=due)
            record, stop = trainer.step(inputs, began=began, stop_asked=asked, phases=phases)
            if profile is not None:
                profile.after(step, record.seconds)
            log(record)
            done = step + 1
            if stop or due:
                checkpoint(done)
            if stop:
                break
    if profile is not None:
        profile.close()
    return done
