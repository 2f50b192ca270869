"""One rank's training, from the resolved configuration to the last checkpoint.

Started alike by `accelerate launch`, `torchrun`, `hbt train` and Ray Train: it knows its place from the
environment alone.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from distributed_hbt.config.run import RunConfig
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.start_times import StartTimes
from distributed_hbt.stop_signals import Stopping
from distributed_hbt.train.assembly import build_trainer
from distributed_hbt.train.checkpoints.attempt import Attempt, begin_attempt
from distributed_hbt.train.checkpoints.choice import choose_checkpoint
from distributed_hbt.train.checkpoints.resume import resume
from distributed_hbt.train.checkpoints.state import TrainState, check_fits
from distributed_hbt.train.checkpoints.writer import CheckpointWriter
from distributed_hbt.train.costs import write_costs
from distributed_hbt.train.engine import Session, start_session
from distributed_hbt.train.guards.guards import build_guards
from distributed_hbt.train.loop import StepRecord, run_steps
from distributed_hbt.train.prepared import Prepared
from distributed_hbt.train.profile import StepProfile

LogFrom = Callable[[int], Callable[[StepRecord], None]]
"""Given the number of steps done, what takes the records of the steps to come."""


def train(
    config: RunConfig,
    ranks: Ranks,
    directory: RunDirectory,
    prepared: Prepared,
    *,
    log_from: LogFrom | None = None,
    tracking_run: str | None = None,
    stopping: Stopping | None = None,
    give_up: Callable[[], None] | None = None,
    times: StartTimes | None = None,
) -> bool:
    """Train to the last step, from the last complete checkpoint where there is one.

    `log_from` and `tracking_run` are rank 0's. Where `stopping` says so on any rank, all of them finish
    their step and write a checkpoint. `give_up` is called before the process ends since a rank stalls.
    `times` are logged when the first step is done. Returns whether all steps are done. Raises the project's
    errors.
    """
    times = times or StartTimes(is_own_process=False)
    session = start_session(config, ranks)
    times.lap("process group")
    attempt = begin_attempt(directory, ranks)
    state = partial(_state, config, session, prepared, tracking_run)
    chosen = choose_checkpoint(directory, ranks)
    if chosen is not None:
        check_fits(chosen.path, chosen.state, state(chosen.state.step))
    times.lap("checkpoint")  # chosen; what is read of it later counts for the same part
    trainer, saved = build_trainer(config, session, directory, prepared, times.lap)
    skipped = 0 if chosen is None else chosen.state.skipped_steps
    guards = build_guards(config, trainer, directory, prepared.store, skipped=skipped, give_up=give_up)
    start = resume(trainer, chosen, saved)
    times.lap("checkpoint")
    log = times.until("first step", _while_current(attempt, log_from(start)) if log_from else _no_log)
    profile = _profile(config, session, directory)
    with (
        stopping or nullcontext(_never) as stop_asked,
        CheckpointWriter(config, session, attempt, saved) as writer,
    ):

        def checkpoint(step: int) -> None:
            writer.save(trainer.engine, replace(state(step), skipped_steps=guards.skipped.count))

        def ends(*, at_checkpoint: bool = False) -> bool:
            return stop_asked(at_checkpoint=at_checkpoint) or writer.in_trouble()

        done = run_steps(trainer, start, log, checkpoint, ends, guards, profile)
    if ranks.is_first:
        write_costs(directory.costs, trainer.engine.module.encoder)
    trainer.engine.destroy()
    return done == config.train.max_steps


def _state(
    config: RunConfig, session: Session, prepared: Prepared, tracking_run: str | None, step: int
) -> TrainState:
    """What a checkpoint after `step` steps says of this run."""
    return TrainState(
        step=step,
        name=config.name,
        seed=config.seed,
        world_size=session.ranks.world_size,
        zero_stage=session.stage,
        store=prepared.store.fingerprint,
        next_batch=prepared.plan.digest(step),
        tracking_run=tracking_run,
    )


def _profile(config: RunConfig, session: Session, directory: RunDirectory) -> StepProfile | None:
    steps = config.train.profile_steps
    if steps is None or not session.ranks.is_first:
        return None
    return StepProfile(*steps, directory.profile, session.device)


def _no_log(record: StepRecord) -> None:
    """Ranks other than the first log nothing."""


def _while_current(attempt: Attempt, log: Callable[[StepRecord], None]) -> Callable[[StepRecord], None]:
    """Logs no step of an attempt once another one has taken over the run's log."""

    def logged(record: StepRecord) -> None:
        if not attempt.is_replaced():
            log(record)

    return logged


def _never(*, at_checkpoint: bool = False) -> bool:
    """Nobody asks a training to stop that was given nobody to ask."""
    return False
