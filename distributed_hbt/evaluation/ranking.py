"""Ranks every task of one query language, writing its runs on the way."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distributed_hbt.evaluation.benchmarks.collection import Collection
from distributed_hbt.evaluation.full_ranking import (
    Floats,
    Integers,
    Pool,
    rank,
    ranks_of_columns,
    score_blocks,
    strictly_decreasing,
)
from distributed_hbt.evaluation.tasks import Task, relevant_in
from distributed_hbt.evaluation.trec_run import RunWriter, run_path


@dataclass(frozen=True, slots=True)
class TaskRanks:
    """The true ranks of a task's relevant candidates, and the qrels they belong to. `top10`: passage language
    -> its share of the ten best documents, over all queries."""

    task: Task
    qrels: dict[str, dict[str, int]]
    ranks: dict[str, dict[str, int]]
    top10: dict[str, float]


@dataclass(frozen=True, slots=True)
class _OpenTask:
    result: TaskRanks
    columns: Integers
    doc_ids: tuple[str, ...]
    position: dict[str, int]
    language_M: Integers
    run: RunWriter


def rank_language(
    collection: Collection, tasks: list[Task], query_QD: Floats, pool: Pool, folder: Path, depth: int
) -> list[TaskRanks]:
    """Rank the queries of one language for all `tasks`, which must be that language's.

    query_QD are the embeddings of `collection.queries` of the language. Each query is scored once against
    the whole pool; a task sees the columns of its languages. `folder` receives the run of each task: the
    best `depth` documents and every relevant one, at true ranks.
    """
    queries = collection.queries[tasks[0].query_language]
    with ExitStack() as stack:
        opened = [_open(collection, task, pool, folder, stack) for task in tasks]
        for start, scores_BN in score_blocks(query_QD, pool.embedding_ND):
            query_ids = [query.id for query in queries[start : start + len(scores_BN)]]
            for task in opened:
                _rank_block(task, query_ids, scores_BN, depth)
    return [task.result for task in opened]


def _open(collection: Collection, task: Task, pool: Pool, folder: Path, stack: ExitStack) -> _OpenTask:
    columns = pool.columns_of(task.passage_languages)
    doc_ids = tuple(pool.doc_ids[column] for column in columns)
    return _OpenTask(
        TaskRanks(task, relevant_in(collection, task), {}, dict.fromkeys(task.passage_languages, 0.0)),
        columns,
        doc_ids,
        {doc_id: i for i, doc_id in enumerate(doc_ids)},
        np.array([task.passage_languages.index(pool.languages[column]) for column in columns], np.int64),
        stack.enter_context(RunWriter(run_path(folder, task.name))),
    )


def _rank_block(task: _OpenTask, query_ids: list[str], scores_BN: Floats, depth: int) -> None:
    """Rank one block of queries among the task's M candidates; scores_BN are those of the whole pool."""
    kept = [i for i, query_id in enumerate(query_ids) if query_id in task.result.qrels]
    scores_BM = scores_BN[np.array(kept, np.int64)[:, None], task.columns]
    order_BM = rank(scores_BM)
    ranks_BM = ranks_of_columns(order_BM)
    _count_top10(task, order_BM)
    for i, row in enumerate(kept):
        query_id = query_ids[row]
        relevant = [task.position[doc_id] for doc_id in task.result.qrels[query_id]]
        ranks = {task.doc_ids[column]: int(ranks_BM[i, column]) for column in relevant}
        task.result.ranks[query_id] = ranks
        below = sorted(place for place in ranks.values() if place > depth)
        columns = np.concatenate([order_BM[i, :depth], order_BM[i, np.array(below, np.int64) - 1]])
        task.run.write(
            query_id,
            [task.doc_ids[column] for column in columns.tolist()],
            [*range(1, min(depth, len(task.doc_ids)) + 1), *below],
            strictly_decreasing(scores_BM[i, columns]).tolist(),
        )


def _count_top10(task: _OpenTask, order_BM: Integers) -> None:
    """Add this block's part to the languages' shares of the ten best documents."""
    best = task.language_M[order_BM[:, :10]]
    counts = np.bincount(best.ravel(), minlength=len(task.result.top10))
    whole = len(task.result.qrels) * min(10, order_BM.shape[1])
    for language, count in zip(task.result.top10, counts.tolist(), strict=True):
        task.result.top10[language] += count / whole
