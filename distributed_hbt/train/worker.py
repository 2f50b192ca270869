"""One rank's training, from the resolved configuration to the last checkpoint.

Started alike by `accelerate launch`, `torchrun`, `hbt train` and Ray Train: it knows its place from the
environment alone.
"""

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.train import TrainConfig
from distributed_hbt.data.counterparts import Counterparts
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.rank_batch import RankBatches
from distributed_hbt.data.store import Store, prepare_store
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError, DataError
from distributed_hbt.losses.objective import Distillation, Objective
from distributed_hbt.models.build import build_encoder, check_buildable
from distributed_hbt.models.compiled import compile_layers
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.liger import use_liger_kernels
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.packed_attention import check_device
from distributed_hbt.models.saved import save_base
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.start_times import Lap, StartTimes, not_timed
from distributed_hbt.stop_signals import Stopping
from distributed_hbt.train.attempt import Attempt, begin_attempt
from distributed_hbt.train.checkpoint import Saved, TrainState, check_fits
from distributed_hbt.train.checkpoint_choice import choose_checkpoint
from distributed_hbt.train.checkpoint_writer import CheckpointWriter
from distributed_hbt.train.chunked import ChunkedEncoder
from distributed_hbt.train.costs import write_costs
from distributed_hbt.train.engine import Session, build_engine, start_session
from distributed_hbt.train.guards import build_guards
from distributed_hbt.train.inputs import InputMaker, TeacherTexts
from distributed_hbt.train.loop import StepRecord, Trainer, run_steps
from distributed_hbt.train.profile import StepProfile
from distributed_hbt.train.resume import resume
from distributed_hbt.train.teacher import build_teacher, prepare_teacher, teacher_texts, transport_of

_log = logging.getLogger(__name__)


LogFrom = Callable[[int], Callable[[StepRecord], None]]
"""Given the number of steps done, what takes the records of the steps to come."""


@dataclass(frozen=True)
class Prepared:
    """Everything that a run needs of its data."""

    texts: TextEncoder
    store: Store
    plan: BatchPlan
    teacher: TeacherTexts | None = None


def prepare(config: RunConfig, lap: Lap = not_timed) -> Prepared:
    """Tokenizer, store and plan, built if they are not there yet. Raises DataError or ConfigError."""
    folder = store_folder(config)
    texts = TextEncoder(prepare_tokenizer(config, folder), config.model)
    lap("tokenizer")
    if config.model.architecture is not None:
        check_buildable(config.model, len(texts.tokenizer))
        lap("model class")
    of_teacher = teacher_texts(config)
    store = prepare_store(config, texts, folder)
    if config.train.distillation is not None and not store.has_scores:
        what = "no passage of the data has a reranker's score"
        raise DataError(
            "train.distillation", what, "add scores to the rows (docs/data.md), or set it to null"
        )
    teacher = prepare_teacher(config, of_teacher, store, folder)
    prepared = Prepared(texts, store, make_plan(config, store), teacher)
    lap("store")
    return prepared


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
    trainer, saved = _build(config, session, directory, prepared, times.lap)
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


def store_folder(config: RunConfig) -> Path:
    """Where tokenized stores and trained tokenizers are kept."""
    return Path(config.data.store_dir or Path(config.output_dir) / "stores")


def make_plan(config: RunConfig, store: Store) -> BatchPlan:
    """The batch plan of a run over its store."""
    weights = [source.weight for source in config.data.sources]
    given = tuple(weight for weight in weights if weight is not None)
    return BatchPlan(store.index, config.sampling, config.train.global_batch_size, config.seed, given or None)


def build_batches(config: RunConfig, ranks: Ranks, store: Store, plan: BatchPlan) -> RankBatches:
    """The rank's batches as the configuration asks for them."""
    teacher = config.train.teacher
    return RankBatches(
        store,
        plan,
        rank=ranks.rank,
        world_size=ranks.world_size,
        seed=config.seed,
        num_hard_negatives=config.data.num_hard_negatives,
        max_tokens_per_chunk=config.train.max_tokens_per_chunk,
        hard_negatives_only=config.train.loss == "printed",
        symmetric=config.train.symmetric,
        padding_free=config.model.padding_free,
        skip_damaged=config.data.damaged_rows == "skip",
        counterparts=None if teacher is None else Counterparts(store, teacher.language),
    )


def build_objective(config: RunConfig) -> Objective:
    """The training objective as the configuration asks for it."""
    teacher = config.train.teacher
    return Objective(
        temperature=config.train.temperature,
        symmetric=config.train.symmetric,
        dimensions=config.model.matryoshka_dimensions,
        normalize=config.model.normalize,
        distillation=_distillation(config.train),
        contrastive=teacher is None or teacher.contrastive,
        teacher_weight=0.0 if teacher is None else teacher.weight,
    )


def build_inputs(config: RunConfig, session: Session, prepared: Prepared) -> InputMaker:
    """What makes the inputs of the rank's steps."""
    return InputMaker(
        build_batches(config, session.ranks, prepared.store, prepared.plan),
        prepared.texts,
        seed=config.seed,
        rank=session.ranks.rank,
        block_size=config.train.loss_block_size,
        device=session.device,
        padding_free=config.model.padding_free,
        teacher=prepared.teacher,
    )


def _distillation(train: TrainConfig) -> Distillation | None:
    asked = train.distillation
    if asked is None:
        return None
    return Distillation(asked.weight, asked.temperature or train.temperature, asked.teacher_temperature)


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


def _build(
    config: RunConfig, session: Session, directory: RunDirectory, prepared: Prepared, lap: Lap
) -> tuple[Trainer, Saved]:
    """The trainer at its first step, and what its encoder is saved with."""
    tokenizer = prepared.texts.tokenizer
    encoder = _build_encoder(config, session, directory, len(tokenizer))
    manifest = EncoderManifest.from_config(
        config.model,
        embedding_dimension=encoder.dimension,
        base="../../../base" if _has_random_base(config) else None,
    )
    session.before_building(pretrained=False)  # the teacher is not partitioned, whatever the encoder is
    teacher = build_teacher(config, encoder.dimension, session.device)
    lap("model")
    engine = build_engine(session, ChunkedEncoder(encoder, transport_of(config)), config.train)
    lap("engine")
    inputs = build_inputs(config, session, prepared)
    objective = build_objective(config)
    trainer = Trainer(session, engine, inputs, objective, config.train, config.reduces_once, teacher)
    return trainer, Saved(tokenizer, manifest, adapter=config.model.lora is not None)


def _build_encoder(config: RunConfig, session: Session, directory: RunDirectory, vocab_size: int) -> Encoder:
    check_device(config.model, session.device)
    session.before_building(pretrained=config.model.base is not None)
    encoder = build_encoder(config.model, config.seed, vocab_size=vocab_size)
    adapt_layers(encoder, config.train, session)
    if _has_random_base(config) and session.ranks.is_first and not directory.base.exists():
        save_base(directory.base, encoder)
    return encoder


def adapt_layers(encoder: Encoder, train: TrainConfig, session: Session) -> None:
    """Kernels, recomputation and compilation of the layers, as the configuration asks. Raises ConfigError."""
    if train.liger_kernels:
        use_liger_kernels(encoder.backbone, session.device)
    if train.activation_checkpointing:
        encoder.enable_activation_checkpointing()
    if not train.compile:
        return
    if session.stage == 3:
        what = "ZeRO-3 gathers weights inside every layer, where the compiler can not follow"
        raise ConfigError("train.compile", what, "set it to false, or take another train.deepspeed")
    compile_layers(encoder, session.device)


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


def _has_random_base(config: RunConfig) -> bool:
    """Adapters on random weights: the run keeps those, since nobody else has them."""
    return config.model.architecture is not None and config.model.lora is not None
