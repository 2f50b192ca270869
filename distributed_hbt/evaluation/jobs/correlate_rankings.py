"""Job: how alike the rankings are that parallel questions give -> a value for each of their queries."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distributed_hbt.evaluation.benchmarks.collection import Collection
from distributed_hbt.evaluation.full_ranking import Floats, build_pool, rank, ranks_of_columns
from distributed_hbt.evaluation.jobs.rank_language import read_parts
from distributed_hbt.evaluation.jobs.worker import Worker
from distributed_hbt.evaluation.language_bias import rank_correlations
from distributed_hbt.evaluation.whole_file import written_whole


@dataclass(frozen=True, slots=True)
class CorrelateRankings:
    """`queries`: for each of the collection's languages the files of its queries' embeddings; `candidates`
    those of all candidates. `questions`: ids of questions, without language, that are asked in several."""

    output: Path
    collection: Collection
    questions: tuple[str, ...]
    queries: tuple[tuple[Path, ...], ...]
    candidates: tuple[Path, ...]

    @property
    def size(self) -> int:
        return 0

    @property
    def subject(self) -> str:
        return f"the rankings of {len(self.questions)} parallel questions"

    def run(self, worker: Worker) -> None:
        """Needs no encoder. Writes query_id -> mean correlation with the rankings of its parallels."""
        every = [entry.id for of in self.collection.languages for entry in self.collection.candidates[of]]
        embedding_ND = build_pool(every, read_parts(self.candidates), every).embedding_ND
        embedding_of: dict[str, Floats] = {}
        for language, parts in zip(self.collection.languages, self.queries, strict=True):
            ids = [query.id for query in self.collection.queries[language]]
            embedding_of.update(zip(ids, read_parts(parts), strict=True))
        values: dict[str, float] = {}
        for query_ids in parallel_queries(self.collection, set(self.questions)):
            query_LD = np.stack([embedding_of[query_id] for query_id in query_ids])
            rank_LN = ranks_of_columns(rank(query_LD @ embedding_ND.T))
            values.update(zip(query_ids, rank_correlations(rank_LN), strict=True))
        with written_whole(self.output) as partial:
            partial.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")


def parallel_queries(collection: Collection, questions: set[str] | None = None) -> list[list[str]]:
    """The query ids of every question (of `questions`) that is asked in several languages."""
    of_question: dict[str, list[str]] = {}
    for language in collection.languages:
        for query in collection.queries[language]:
            of_question.setdefault(question_of(query.id), []).append(query.id)
    chosen = (ids for question, ids in of_question.items() if questions is None or question in questions)
    return [ids for ids in chosen if len(ids) > 1]


def question_of(query_id: str) -> str:
    """The question's id, without the language before it."""
    return query_id.partition(":")[2]


def read_correlations(outputs: Sequence[Path]) -> dict[str, float]:
    """query_id -> value, from all jobs."""
    values: dict[str, float] = {}
    for output in outputs:
        values.update(json.loads(output.read_text(encoding="utf-8")))
    return values
