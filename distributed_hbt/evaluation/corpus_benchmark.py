"""A benchmark with corpora on disk (MIRACL, Mr.TyDi, BEIR), by jobs: the best `depth` and every true rank."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.evaluation.aggregates import Kind, TaskResult
from distributed_hbt.evaluation.benchmarks.fingerprint import judged_fingerprint
from distributed_hbt.evaluation.benchmarks.judged import JudgedCorpus, check_judgments
from distributed_hbt.evaluation.corpus.survey import FileSurvey
from distributed_hbt.evaluation.corpus_search import CorpusQueries, Places, search_corpora, survey_corpora
from distributed_hbt.evaluation.full_ranking import strictly_decreasing
from distributed_hbt.evaluation.hits import QueryHits
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.evaluation.measures import measures_from_ranks
from distributed_hbt.evaluation.trec_run import RunWriter, run_path

MEASURES = ("nDCG@10", "R@100", "RR@10")
"""What MIRACL reports, and RR@10 (Mr.TyDi's, at 10)."""

_log = logging.getLogger(__name__)


def measure_corpora(
    judged: Sequence[JudgedCorpus],
    encoder: EncoderChoice,
    settings: EvaluationConfig,
    *,
    label: str,
    kind: Kind,
    incomplete: bool,
    folder: Path,
    places: Places,
    executor: Executor,
) -> tuple[list[TaskResult], dict[str, Any]]:
    """Search every corpus; the runs go into `folder`; the results, and facts for the summary, come back.

    Raises DataError with file:line for unusable corpora or judgments, CheckpointError, WorkerFailed.
    """
    corpora = survey_corpora([one.corpus for one in judged], settings, places.stores, executor)
    requests = [
        _request(one, surveys, settings.depth, incomplete)
        for one, surveys in zip(judged, corpora, strict=True)
    ]
    found = search_corpora(requests, encoder, settings, places, executor, label)
    results = [
        _result(one, hits.of_query, kind, folder / "runs") for one, hits in zip(judged, found, strict=True)
    ]
    facts: dict[str, Any] = {
        "num_candidates": sum(survey.num_rows for surveys in corpora for survey in surveys),
        "num_queries": sum(len(one.queries) for one in judged),
        "data_fingerprint": judged_fingerprint(judged, corpora),
    }
    losses = {one.task: hits.loss for one, hits in zip(judged, found, strict=True) if hits.loss}
    for task, loss in losses.items():
        _log.info("%s: %s: search of codes: %s", label, task, loss)
    if losses:
        facts["codes_loss"] = {task: asdict(loss) for task, loss in losses.items()}
    return results, facts


def _request(
    judged: JudgedCorpus, surveys: tuple[FileSurvey, ...], depth: int, incomplete: bool
) -> CorpusQueries:
    check_judgments(judged, surveys, incomplete=incomplete)
    relevant = {query.id: _relevant(judged.qrels[query.id]) for query in judged.queries}
    return CorpusQueries(judged.task, judged.queries, relevant, surveys, depth)


def _relevant(judgments: Mapping[str, int]) -> list[str]:
    return sorted(doc_id for doc_id, relevance in judgments.items() if relevance > 0)


def _result(judged: JudgedCorpus, hits: Mapping[str, QueryHits], kind: Kind, folder: Path) -> TaskResult:
    with RunWriter(run_path(folder, judged.task)) as run:
        for query in judged.queries:
            _write(run, query.id, hits[query.id])
    ranks = {
        query_id: {doc_id: rank for doc_id, (_, rank) in of_query.wanted.items()}
        for query_id, of_query in hits.items()
    }
    qrels = {query.id: judged.qrels[query.id] for query in judged.queries}
    return TaskResult(judged.task, kind, measures_from_ranks(ranks, qrels, MEASURES))


def _write(run: RunWriter, query_id: str, hits: QueryHits) -> None:
    """The best documents, then the relevant ones below at their true ranks."""
    below = sorted(
        (rank, doc_id, score) for doc_id, (score, rank) in hits.wanted.items() if rank > len(hits.doc_ids)
    )
    scores = np.array([*hits.scores, *(score for _, _, score in below)], np.float32)
    run.write(
        query_id,
        [*hits.doc_ids, *(doc_id for _, doc_id, _ in below)],
        [*range(1, len(hits.doc_ids) + 1), *(rank for rank, _, _ in below)],
        strictly_decreasing(np.minimum.accumulate(scores)).tolist(),
    )
