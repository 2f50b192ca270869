"""A benchmark with corpora on disk (MIRACL, Mr.TyDi, BEIR), by jobs: the best `depth` and every true rank."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.evaluation.aggregates import Kind, TaskResult
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.evaluation.benchmarks.fingerprint import judged_fingerprint
from distributed_hbt.evaluation.benchmarks.judged import JudgedCorpus, check_judgments
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus.survey import FileSurvey
from distributed_hbt.evaluation.corpus_search import CorpusQueries, Places, search_corpora, survey_corpora
from distributed_hbt.evaluation.full_ranking import strictly_decreasing
from distributed_hbt.evaluation.hits import QueryHits
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.evaluation.measures import measures_from_ranks
from distributed_hbt.evaluation.merged import CorpusHits
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
    for one, surveys in zip(judged, corpora, strict=True):
        check_judgments(one, surveys, incomplete=incomplete)
    together = _by_corpus(judged)
    surveys_of = {one.corpus: surveys for one, surveys in zip(judged, corpora, strict=True)}
    requests = [_request(tasks, surveys_of[corpus], settings.depth) for corpus, tasks in together.items()]
    found = dict(
        zip(together, search_corpora(requests, encoder, settings, places, executor, label), strict=True)
    )
    results = [
        _result(one, _of_task(one, found[one.corpus], together), kind, folder / "runs") for one in judged
    ]
    rows = {survey.file: survey.num_rows for surveys in corpora for survey in surveys}
    facts: dict[str, Any] = {
        "num_candidates": sum(rows.values()),
        "num_queries": sum(len(one.queries) for one in judged),
        "data_fingerprint": judged_fingerprint(judged, corpora),
    }
    losses = {one.task: loss for one in judged if (loss := found[one.corpus].loss)}
    for task, loss in losses.items():
        _log.info("%s: %s: search of codes: %s", label, task, loss)
    if losses:
        facts["codes_loss"] = {task: asdict(loss) for task, loss in losses.items()}
    return results, facts


_Together = Mapping[tuple[CorpusFile, ...], Sequence[JudgedCorpus]]
"""The tasks of each corpus."""


def _by_corpus(judged: Sequence[JudgedCorpus]) -> _Together:
    """Tasks that search the same passages, so that these are encoded once."""
    together: dict[tuple[CorpusFile, ...], list[JudgedCorpus]] = {}
    for one in judged:
        together.setdefault(one.corpus, []).append(one)
    return together


def _request(tasks: Sequence[JudgedCorpus], surveys: tuple[FileSurvey, ...], depth: int) -> CorpusQueries:
    alone = len(tasks) == 1
    queries = tuple(
        Entry(_search_id(one, query.id, alone=alone), query.text) for one in tasks for query in one.queries
    )
    relevant = {
        _search_id(one, query.id, alone=alone): _relevant(one.qrels[query.id])
        for one in tasks
        for query in one.queries
    }
    label = tasks[0].task if alone else f"{tasks[0].task}-and-{len(tasks) - 1}-more"
    return CorpusQueries(label, queries, relevant, surveys, depth)


def _search_id(task: JudgedCorpus, query_id: str, *, alone: bool) -> str:
    """Queries of several tasks may have one id."""
    return query_id if alone else f"{task.task} {query_id}"


def _of_task(task: JudgedCorpus, found: CorpusHits, together: _Together) -> Mapping[str, QueryHits]:
    """query_id -> its hits."""
    alone = len(together[task.corpus]) == 1
    return {query.id: found.of_query[_search_id(task, query.id, alone=alone)] for query in task.queries}


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
