"""A benchmark that fits into memory (XQuAD-R, MLQA-R), by jobs: every task, every true rank."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from distributed_hbt.evaluation.aggregates import TaskResult
from distributed_hbt.evaluation.benchmarks.collection import Collection, Entry
from distributed_hbt.evaluation.jobs.correlate_rankings import (
    CorrelateRankings,
    parallel_queries,
    question_of,
    read_correlations,
)
from distributed_hbt.evaluation.jobs.embed_texts import EmbedTexts
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.rank_language import RUNS, RankLanguage, read_values
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.evaluation.language_bias import RANK_CORRELATION
from distributed_hbt.evaluation.tasks import tasks_of

TEXTS_A_JOB = 2048
QUESTIONS_A_JOB = 200


def measure_collection(
    collection: Collection,
    encoder: EncoderChoice,
    depth: int,
    *,
    label: str,
    folder: Path,
    work: Path,
    executor: Executor,
) -> list[TaskResult]:
    """Encode every text once, rank all tasks; the runs go into `folder`, the results come back.

    What is in `work` from before is not made again. Raises CheckpointError and WorkerFailed, as jobs do.
    """
    work = work / _digest(collection, encoder, depth)
    queries = {
        language: _embed(work, encoder, "query", collection.queries[language], f"{label}: {language} queries")
        for language in collection.languages
    }
    every = [entry for language in collection.languages for entry in collection.candidates[language]]
    candidates = _embed(work, encoder, "passage", every, f"{label}: candidates")
    executor.run([*(job for jobs in queries.values() for job in jobs), *candidates], label)
    rankings = [
        RankLanguage(
            work / f"ranked-{language}",
            collection,
            language,
            tuple(job.output for job in queries[language]),
            tuple(job.output for job in candidates),
            depth,
        )
        for language in collection.languages
    ]
    correlations = _correlations(collection, queries, candidates, work)
    executor.run([*rankings, *correlations], f"{label}: ranking")
    correlation = read_correlations([job.output for job in correlations])
    results: list[TaskResult] = []
    for ranking in rankings:
        shutil.copytree(ranking.output / RUNS, folder / RUNS, dirs_exist_ok=True)
        found = read_values(ranking.output, ranking.language, collection)
        results += [_with_correlation(result, correlation) for result in found]
    order = [task.name for task in tasks_of(collection.languages)]
    return sorted(results, key=lambda result: order.index(result.task))


def _correlations(
    collection: Collection,
    queries: Mapping[str, Sequence[EmbedTexts]],
    candidates: Sequence[EmbedTexts],
    work: Path,
) -> list[CorrelateRankings]:
    questions = [question_of(query_ids[0]) for query_ids in parallel_queries(collection)]
    return [
        CorrelateRankings(
            work / f"correlated-{first}.json",
            collection,
            tuple(questions[first : first + QUESTIONS_A_JOB]),
            tuple(tuple(job.output for job in queries[language]) for language in collection.languages),
            tuple(job.output for job in candidates),
        )
        for first in range(0, len(questions), QUESTIONS_A_JOB)
    ]


def _with_correlation(result: TaskResult, correlation: Mapping[str, float]) -> TaskResult:
    """The multilingual task with what its rankings have in common with those of parallel queries."""
    query_ids = next(iter(result.values.values()))
    if result.kind != "multi" or not all(query_id in correlation for query_id in query_ids):
        return result
    values = {query_id: correlation[query_id] for query_id in query_ids}
    return replace(result, values={**result.values, RANK_CORRELATION: values})


def _embed(
    work: Path,
    encoder: EncoderChoice,
    kind: Literal["query", "passage"],
    entries: Sequence[Entry],
    subject: str,
) -> list[EmbedTexts]:
    """Jobs over equal parts of the entries, which do not depend on who does them."""
    jobs = []
    for first in range(0, len(entries), TEXTS_A_JOB):
        texts = tuple(entry.text for entry in entries[first : first + TEXTS_A_JOB])
        about = f"{subject} {first + 1} to {first + len(texts)}"
        name = hashlib.blake2b(about.encode(), digest_size=8).hexdigest()
        jobs.append(EmbedTexts(work / f"{name}.npy", encoder, kind, texts, about))
    return jobs


def _digest(collection: Collection, encoder: EncoderChoice, depth: int) -> str:
    digest = hashlib.blake2b(f"{encoder.fingerprint} {encoder.dimension} {depth}".encode(), digest_size=8)
    digest.update(f"{encoder.max_tokens_per_batch} {TEXTS_A_JOB} {collection.languages}".encode())
    for entries in (*collection.queries.values(), *collection.candidates.values()):
        for entry in entries:
            digest.update(f"{entry.id}\0{entry.text}\0".encode())
    digest.update(
        repr(sorted((query, sorted(of.items())) for query, of in collection.qrels.items())).encode()
    )
    return digest.hexdigest()
