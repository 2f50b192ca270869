"""A checkpoint -> measures on every benchmark of the configuration."""

import logging
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

from distributed_hbt.aside import aside, remove_leftovers
from distributed_hbt.config.evaluation import (
    BeirBenchmark,
    Benchmark,
    CorpusBenchmark,
    EvaluationConfig,
    LareqaBenchmarkBase,
    RowsBenchmark,
)
from distributed_hbt.data.source_files import source_settings
from distributed_hbt.errors import ConfigError
from distributed_hbt.evaluation.benchmarks.fingerprint import collection_fingerprint
from distributed_hbt.evaluation.benchmarks.judged import JudgedCorpus, load_judged
from distributed_hbt.evaluation.benchmarks.lareqa import load_lareqa
from distributed_hbt.evaluation.benchmarks.rows import load_rows
from distributed_hbt.evaluation.collection_benchmark import measure_collection
from distributed_hbt.evaluation.corpus_benchmark import measure_corpora
from distributed_hbt.evaluation.corpus_search import Places
from distributed_hbt.evaluation.encoder_choice import encoder_choice, encoder_folder
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.evaluation.results import SUMMARY, read_summary, write_results
from distributed_hbt.models.manifest import EncoderManifest

logger = logging.getLogger(__name__)


def evaluate_checkpoint(
    config: EvaluationConfig,
    checkpoint: Path,
    out: Path,
    *,
    stores: Path,
    executor: Executor,
    again: bool = False,
) -> list[Path]:
    """Evaluate on every benchmark; the paths of the summaries, `<out>/<benchmark>/summary.json`.

    `checkpoint` is a step folder (holding encoder/) or an encoder folder. A complete result is kept and
    not computed again unless `again`; of one that was broken off, the jobs that were done are kept in
    `<out>/<benchmark>.work`. `stores` holds what outlives an evaluation: surveys of corpora, embeddings.

    Raises CheckpointError for a folder without an encoder or an encoder that gives NaN, ConfigError when a
    complete result was made from other settings, DataError for unusable benchmark data, WorkerFailed where
    a job could not be done.
    """
    encoder_folder(checkpoint)  # is asked for even where all results are there
    encoder: EncoderChoice | None = None
    for benchmark in config.benchmarks:
        about = _about(config, benchmark, checkpoint)
        final = out / benchmark.label
        if not again and _is_complete(final, about):
            logger.info("%s: kept the result in %s", benchmark.label, final)
            remove_leftovers(final)
            continue
        encoder = encoder or encoder_choice(config, checkpoint)
        _evaluate(config, benchmark, encoder, about, final, stores, executor, again)
    return [out / benchmark.label / SUMMARY for benchmark in config.benchmarks]


def _evaluate(
    config: EvaluationConfig,
    benchmark: Benchmark,
    encoder: EncoderChoice,
    about: dict[str, Any],
    final: Path,
    stores: Path,
    executor: Executor,
    again: bool,
) -> None:
    work = final.with_name(f"{final.name}.work")
    partial = aside(final, f"-{uuid.uuid4().hex[:8]}")  # another thread may be at the same
    spent = partial.with_name(f"{partial.name}.work")
    partial.mkdir(parents=True)
    try:
        _measure(config, benchmark, encoder, about, partial, Places(work, stores), executor)
        if work.exists():  # by a name that is known to be a leftover, once this process is killed
            work.rename(spent)
        _publish(partial, final, again)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(spent, ignore_errors=True)


def _measure(
    config: EvaluationConfig,
    benchmark: Benchmark,
    encoder: EncoderChoice,
    about: dict[str, Any],
    folder: Path,
    places: Places,
    executor: Executor,
) -> None:
    counts: dict[str, Any]
    manifest = EncoderManifest.read(encoder.folder)
    about = about | {
        "encoder": {
            "embedding_dimension": encoder.dimension or manifest.embedding_dimension,
            "fingerprint": encoder.fingerprint,
        }
    }
    if isinstance(benchmark, LareqaBenchmarkBase):
        collection = load_lareqa(
            Path(benchmark.root),
            benchmark.languages,
            article_range=benchmark.article_range,
            candidate=benchmark.candidate,
        )
        results = measure_collection(
            collection,
            encoder,
            config.depth,
            label=benchmark.label,
            folder=folder,
            work=places.work,
            executor=executor,
        )
        counts = {
            "num_candidates": collection.num_candidates,
            "num_queries": collection.num_queries,
            "data_fingerprint": collection_fingerprint(collection),
        }
    else:
        results, counts = measure_corpora(
            _judged(benchmark, places.stores),
            encoder,
            config,
            label=benchmark.label,
            kind="split" if isinstance(benchmark, BeirBenchmark) else "language",
            incomplete=benchmark.incomplete,
            folder=folder,
            places=places,
            executor=executor,
        )
    write_results(folder, results, {**about, **counts})


def _judged(benchmark: CorpusBenchmark | RowsBenchmark, stores: Path) -> tuple[JudgedCorpus, ...]:
    if isinstance(benchmark, RowsBenchmark):
        return load_rows(benchmark, stores)
    return load_judged(benchmark)


def _about(config: EvaluationConfig, benchmark: Benchmark, checkpoint: Path) -> dict[str, Any]:
    """What the figures of a summary depend on."""
    step = re.fullmatch(r"step-(\d+)", checkpoint.name)
    places = {"name", "label", "root", "path", "corpus", "qrels", "sources"}
    sources = benchmark.sources if isinstance(benchmark, RowsBenchmark) else ()
    return {
        "benchmark": benchmark.label,
        "checkpoint": str(checkpoint),
        "step": int(step[1]) if step else None,
        "candidate": "passage",
        **benchmark.model_dump(mode="json", exclude=places),
        **({"sources": [source_settings(source) for source in sources]} if sources else {}),
        "dimension": config.dimension,
        "depth": config.depth,
        "store": config.store and config.store.model_dump(mode="json", exclude={"folder"}),
    }


def _is_complete(final: Path, about: dict[str, Any]) -> bool:
    """Whether the result is there. Raises ConfigError when it is that of other settings."""
    if not (final / SUMMARY).is_file():
        return False
    summary = read_summary(final)
    for name, value in about.items():
        if name != "checkpoint" and summary.get(name) != value:
            what = f"holds a result with {name} {summary.get(name)}, and {value} is asked for"
            raise ConfigError(str(final), what, "remove the folder, or choose another one with --out")
    return True


def _publish(partial: Path, final: Path, again: bool) -> None:
    """Move a finished result to its place. A complete one that came there first stays, unless `again`."""
    if final.exists():
        if (final / SUMMARY).is_file() and not again:
            return
        old = partial.with_name(f"{partial.name}.old")
        final.rename(old)
        shutil.rmtree(old)
    try:
        partial.rename(final)
    except OSError:
        if not (final / SUMMARY).is_file():
            raise
