"""Job: every task of one query language of a collection -> its runs and the values of its queries."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distributed_hbt.evaluation.aggregates import TaskResult
from distributed_hbt.evaluation.benchmarks.collection import Collection
from distributed_hbt.evaluation.full_ranking import Floats, build_pool
from distributed_hbt.evaluation.jobs.worker import Worker
from distributed_hbt.evaluation.language_bias import (
    MAX_RANK,
    PEER,
    RANK_DISTANCE,
    max_rank,
    peer,
    pooled_ranks,
    rank_distance,
)
from distributed_hbt.evaluation.measures import measures_from_ranks
from distributed_hbt.evaluation.ranking import TaskRanks, rank_language
from distributed_hbt.evaluation.tasks import tasks_of
from distributed_hbt.evaluation.whole_file import written_whole

VALUES = "values.json"
LANGUAGES = "languages.json"
RUNS = "runs"


@dataclass(frozen=True, slots=True)
class RankLanguage:
    """`queries` and `candidates` are files of embeddings: the language's queries, and all candidates in the
    order of the collection's languages, each cut into parts. Writes a folder: RUNS, VALUES, and LANGUAGES for
    what the multilingual task says of the passages' languages."""

    output: Path
    collection: Collection
    language: str
    queries: tuple[Path, ...]
    candidates: tuple[Path, ...]
    depth: int

    @property
    def size(self) -> int:
        return 0

    @property
    def subject(self) -> str:
        return f"the ranking of the {self.language} queries"

    def run(self, worker: Worker) -> None:
        """Needs no encoder."""
        every = [
            (entry.id, language)
            for language in self.collection.languages
            for entry in self.collection.candidates[language]
        ]
        query_QD, embedding_ND = read_parts(self.queries), read_parts(self.candidates)
        pool = build_pool([doc_id for doc_id, _ in every], embedding_ND, [language for _, language in every])
        tasks = [task for task in tasks_of(self.collection.languages) if task.query_language == self.language]
        with written_whole(self.output) as folder:
            folder.mkdir()
            ranked = rank_language(self.collection, tasks, query_QD, pool, folder / RUNS, self.depth)
            values = {one.task.name: _values(one) for one in ranked}
            (folder / VALUES).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
            (folder / LANGUAGES).write_text(json.dumps(_languages(ranked, dict(every))), encoding="utf-8")


def read_values(folder: Path, language: str, collection: Collection) -> list[TaskResult]:
    """The results of the tasks of one query language that have queries."""
    values = json.loads((folder / VALUES).read_text(encoding="utf-8"))
    languages = json.loads((folder / LANGUAGES).read_text(encoding="utf-8"))
    tasks = [task for task in tasks_of(collection.languages) if task.query_language == language]
    results = [
        TaskResult(task.name, task.kind, values[task.name], **languages.get(task.name, {})) for task in tasks
    ]
    return [result for result in results if result.num_queries]


def read_parts(parts: tuple[Path, ...]) -> Floats:
    """Embeddings that are cut into files."""
    return np.concatenate([np.load(path) for path in parts])


def _values(ranked: TaskRanks) -> dict[str, dict[str, float]]:
    values = measures_from_ranks(ranked.ranks, ranked.qrels)
    if ranked.task.kind == "multi":
        values[RANK_DISTANCE] = rank_distance(ranked.ranks, ranked.qrels)
        values[MAX_RANK] = max_rank(ranked.ranks, ranked.qrels)
    return values


def _languages(ranked: list[TaskRanks], language_of: dict[str, str]) -> dict[str, Any]:
    """Task -> how its passages' languages fare, for the multilingual tasks that have queries."""
    return {
        one.task.name: {
            "of_task": {PEER: peer([(1.0, pooled_ranks(one.ranks, one.qrels, language_of))])},
            "top10": one.top10,
        }
        for one in ranked
        if one.task.kind == "multi" and one.qrels
    }
