"""From the configuration to the parts of a training: encoder, engine, inputs, objective."""

from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.train import TrainConfig
from distributed_hbt.data.counterparts import Counterparts
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.rank_batch import RankBatches
from distributed_hbt.data.store import Store
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.losses.objective import Distillation, Objective
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.compiled import compile_layers
from distributed_hbt.models.encoder import Encoder
from distributed_hbt.models.liger import use_liger_kernels
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.packed_attention import check_device
from distributed_hbt.models.saved import save_base
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.start_times import Lap
from distributed_hbt.train.checkpoints.state import Saved
from distributed_hbt.train.chunked import ChunkedEncoder
from distributed_hbt.train.engine import Session, build_engine
from distributed_hbt.train.inputs import InputMaker
from distributed_hbt.train.loop import Trainer
from distributed_hbt.train.prepared import Prepared
from distributed_hbt.train.teacher import build_teacher, transport_of


def build_trainer(
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


def _distillation(train: TrainConfig) -> Distillation | None:
    asked = train.distillation
    if asked is None:
        return None
    return Distillation(asked.weight, asked.temperature or train.temperature, asked.teacher_temperature)


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


def _has_random_base(config: RunConfig) -> bool:
    """Adapters on random weights: the run keeps those, since nobody else has them."""
    return config.model.architecture is not None and config.model.lora is not None
