"""The training loop: batch, backward, step, log, checkpoint."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from distributed_hbt.config.train import TrainConfig
from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.losses.objective import Objective
from distributed_hbt.stop_signals import StopAsked
from distributed_hbt.train.engine import Session
from distributed_hbt.train.guards.finite import spoilt_weights, step_if_finite
from distributed_hbt.train.guards.guards import Guards
from distributed_hbt.train.inputs import InputMaker, StepInputs
from distributed_hbt.train.phases import Phases, not_measured
from distributed_hbt.train.profile import StepProfile
from distributed_hbt.train.schedule import learning_rate
from distributed_hbt.train.step import cached_backward, loss_alone, plain_backward
from distributed_hbt.train.teacher import Teacher


@dataclass(frozen=True)
class StepRecord:
    """One line of train.jsonl. `step` counts finished steps; tokens are of the global batch, of which
    `repeated_tokens` were left out: passages that further rows share are encoded once. A `skipped` step
    changed nothing: its loss or its gradient was not finite."""

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
    skipped: bool


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
        once, at the end (DeepSpeed itself waits for the gradient's norm).
        """
        began = time.perf_counter() if began is None else began
        rate = learning_rate(self.train, inputs.batch.step)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        loss = self._backward(inputs, phases)
        total_2 = self._over_ranks(loss, stop_asked)
        with phases("optimizer"):
            norm, stepped = step_if_finite(self.engine)
        mean_loss, ranks_asked = (total_2 / self.session.ranks.world_size).tolist()
        record = self._record(inputs.batch, mean_loss, rate, float(norm), time.perf_counter() - began)
        return replace(record, skipped=not stepped), ranks_asked > 0

    def check_weights(self, good: StepInputs, step: int) -> None:
        """After the skipped step `step`, counted from 1: whether it was its batch, or the step before has
        spoilt the weights. `good` are the inputs of that one. Raises WorkerFailed on every rank."""
        taught = good if self.teacher is None else self.teacher.answered(good)
        total_2 = self._over_ranks(loss_alone(self.engine, taught, self.objective), stop_asked=False)
        if not bool(total_2.isfinite().all()):
            raise spoilt_weights(step, good.batch.step + 1)

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
            skipped=False,
        )


def run_steps(
    trainer: Trainer,
    start: int,
    log: Callable[[StepRecord], None],
    checkpoint: Callable[[int], None],
    stop_asked: StopAsked,
    guards: Guards,
    profile: StepProfile | None = None,
) -> int:
    """Steps `start` to the last, or to the one in which any rank was asked to stop; how many are done in all.

    `checkpoint(n)` is called after n steps where one is due, and before a stop.
    """
    done, last = start, trainer.train.max_steps
    good: StepInputs | None = None  # of the last step that was not skipped
    with guards.watchdog, closing(trainer.inputs.ahead(start, last)) as ahead:
        for step in range(start, last):
            guards.watchdog.step(step + 1)
            phases = guards.watchdog.phases(not_measured if profile is None else profile.before(step))
            began = time.perf_counter()
            with phases("data"):
                inputs = next(ahead)
            due = (step + 1) % trainer.train.checkpoint_every == 0 or step + 1 == last
            asked = stop_asked(at_checkpoint=due)
            record, stop = trainer.step(inputs, began=began, stop_asked=asked, phases=phases)
            if profile is not None:
                profile.after(step, record.seconds)
            log(record)
            if not record.skipped:
                good = inputs
            else:
                if good is not None:
                    trainer.check_weights(good, record.step)
                guards.skipped.note(inputs.batch, record.loss, record.grad_norm)
            done = step + 1
            _keep(done, guards, checkpoint, saves=stop or due)
            if stop:
                break
    if profile is not None:
        profile.close()
    return done


def _keep(done: int, guards: Guards, checkpoint: Callable[[int], None], *, saves: bool) -> None:
    """After `done` steps: compare ranks and write a checkpoint, where either is due. No checkpoint has
    weights that were not equal on all ranks."""
    phases = guards.watchdog.phases(not_measured)
    if saves or guards.comparison.is_due(done):
        with phases("comparison"):
            guards.comparison.check(done)
    if saves:
        with phases("checkpoint"):
            checkpoint(done)
