"""What a run needs of its data: tokenizer, store, plan, and what a teacher reads."""

from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.store import Store, prepare_store
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.errors import DataError
from distributed_hbt.models.build import check_buildable
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.start_times import Lap, not_timed
from distributed_hbt.train.inputs import TeacherTexts
from distributed_hbt.train.teacher import prepare_teacher, teacher_texts


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


def store_folder(config: RunConfig) -> Path:
    """Where tokenized stores and trained tokenizers are kept."""
    return Path(config.data.store_dir or Path(config.output_dir) / "stores")


def make_plan(config: RunConfig, store: Store) -> BatchPlan:
    """The batch plan of a run over its store."""
    weights = [source.weight for source in config.data.sources]
    given = tuple(weight for weight in weights if weight is not None)
    return BatchPlan(store.index, config.sampling, config.train.global_batch_size, config.seed, given or None)
