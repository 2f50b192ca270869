"""A checkpoint -> measures on every benchmark of the configuration."""

import logging
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

from distributed_hbt.config.evaluation import Benchmark, EvaluationConfig
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.evaluation.aggregates import TaskResult
from distributed_hbt.evaluation.benchmarks.collection import Collection
from distributed_hbt.evaluation.benchmarks.lareqa import load_lareqa
from distributed_hbt.evaluation.embed import Model, embed_candidates, embed_queries
from distributed_hbt.evaluation.language_bias import RANK_DISTANCE, rank_distance
from distributed_hbt.evaluation.measures import measures_from_ranks
from distributed_hbt.evaluation.ranking import TaskRanks, rank_language
from distributed_hbt.evaluation.results import SUMMARY, read_summary, write_results
from distributed_hbt.evaluation.tasks import tasks_of

logger = logging.getLogger(__name__)


def evaluate_checkpoint(
    config: EvaluationConfig, checkpoint: Path, out: Path, *, again: bool = False, device: str | None = None
) -> list[Path]:
    """Evaluate on every benchmark; the paths of the summaries, `<out>/<benchmark>/summary.json`.

    `checkpoint` is a step folder (holding encoder/) or an encoder folder. A complete result is kept and
    not computed again unless `again`. Runs on the first GPU where there is one, unless `device` says
    otherwise. Raises CheckpointError for a folder without an encoder or an encoder that gives NaN,
    ConfigError when a complete result was made from other settings, DataError for unusable benchmark data.
    """
    folder = encoder_folder(checkpoint)
    model: Model | None = None
    for benchmark in config.benchmarks:
        about = _about(config, benchmark, checkpoint)
        final = out / benchmark.label
        if not again and _is_complete(final, about):
            logger.info("%s: kept the result in %s", benchmark.label, final)
            continue
        collection = _load(benchmark)
        if model is None:
            device = device or _default_device()
            model = _load_encoder(folder, device)
        partial = out / f"{benchmark.label}.partial-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        partial.mkdir(parents=True)
        try:
            evaluate_collection(config, collection, model, partial, about, device=str(device))
            _publish(partial, final, again)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return [out / benchmark.label / SUMMARY for benchmark in config.benchmarks]


def evaluate_collection(
    config: EvaluationConfig,
    collection: Collection,
    model: Model,
    folder: Path,
    about: dict[str, Any],
    *,
    device: str = "cpu",
) -> None:
    """Encode every text once, rank all tasks, and write runs, values and summary into `folder`.

    `about` goes into the summary; `checkpoint` in it names the model in errors.
    """
    label = about["benchmark"]
    logger.info("%s: encoding %d queries", label, collection.num_queries)
    queries = embed_queries(config, collection, model, about["checkpoint"], device)
    logger.info("%s: encoding %d candidates", label, collection.num_candidates)
    pool = embed_candidates(config, collection, model, about["checkpoint"], device)
    results: list[TaskResult] = []
    for language in collection.languages:
        logger.info("%s: ranking the %s queries", label, language)
        tasks = [task for task in tasks_of(collection.languages) if task.query_language == language]
        ranked = rank_language(collection, tasks, queries[language], pool, folder / "runs", config.depth)
        results += [_measure(one) for one in ranked]
    order = [task.name for task in tasks_of(collection.languages)]
    results = [result for result in results if result.num_queries]
    results.sort(key=lambda result: order.index(result.task.name))
    encoder = {"embedding_dimension": pool.embedding_ND.shape[1], "text_fingerprint": model.texts.fingerprint}
    counts = {"num_candidates": collection.num_candidates, "num_queries": collection.num_queries}
    write_results(folder, results, {**about, **counts, "encoder": encoder})


def encoder_folder(checkpoint: Path) -> Path:
    """The folder with encoder.json: `checkpoint` itself, or encoder/ in it. Raises CheckpointError."""
    for folder in (checkpoint / "encoder", checkpoint):
        if (folder / "encoder.json").is_file():
            return folder
    raise CheckpointError(
        str(checkpoint), "neither this folder nor encoder/ in it has an encoder.json", "name a checkpoint"
    )


def _measure(ranked: TaskRanks) -> TaskResult:
    values = measures_from_ranks(ranked.ranks, ranked.qrels)
    if ranked.task.kind == "multi":
        values[RANK_DISTANCE] = rank_distance(ranked.ranks, ranked.qrels)
    return TaskResult(ranked.task, values)


def _about(config: EvaluationConfig, benchmark: Benchmark, checkpoint: Path) -> dict[str, Any]:
    """What the figures of a summary depend on."""
    step = re.fullmatch(r"step-(\d+)", checkpoint.name)
    return {
        "benchmark": benchmark.label,
        "checkpoint": str(checkpoint),
        "step": int(step[1]) if step else None,
        "candidate": benchmark.candidate,
        "languages": list(benchmark.languages),
        "article_range": list(benchmark.article_range) if benchmark.article_range else None,
        "dimension": config.dimension,
        "depth": config.depth,
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


def _load(benchmark: Benchmark) -> Collection:
    return load_lareqa(
        Path(benchmark.root),
        benchmark.languages,
        article_range=benchmark.article_range,
        candidate=benchmark.candidate,
    )


def _load_encoder(folder: Path, device: str) -> Model:
    from distributed_hbt.models.saved import load_encoder

    return load_encoder(folder, device=device)


def _default_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
