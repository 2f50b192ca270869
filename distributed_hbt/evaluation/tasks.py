"""The retrieval tasks of a multilingual collection (arXiv 2408.10536, section 4; LAReQA)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from distributed_hbt.evaluation.benchmarks.collection import Collection


@dataclass(frozen=True, slots=True)
class Task:
    """Queries of one language against the candidates of `passage_languages`."""

    kind: Literal["mono", "cross", "multi"]
    query_language: str
    passage_languages: tuple[str, ...]

    @property
    def name(self) -> str:
        """`mono/<lang>`, `cross/<query lang>-<passage lang>` or `multi/<query lang>`."""
        if self.kind == "cross":
            return f"cross/{self.query_language}-{self.passage_languages[0]}"
        return f"{self.kind}/{self.query_language}"


def tasks_of(languages: Sequence[str]) -> tuple[Task, ...]:
    """Every task: n monolingual, n * (n - 1) cross-lingual, n multilingual (against the union)."""
    mono = [Task("mono", language, (language,)) for language in languages]
    cross = [
        Task("cross", query, (passage,)) for query in languages for passage in languages if query != passage
    ]
    multi = [Task("multi", language, tuple(languages)) for language in languages]
    return (*mono, *cross, *multi)


def relevant_in(collection: Collection, task: Task) -> dict[str, dict[str, int]]:
    """The task's qrels, in the order of its queries.

    Only candidates of the task's languages; a query without any of them is not in the task.
    """
    ids = {entry.id for language in task.passage_languages for entry in collection.candidates[language]}
    qrels = {}
    for query in collection.queries[task.query_language]:
        relevant = {doc: value for doc, value in collection.qrels[query.id].items() if doc in ids}
        if any(value > 0 for value in relevant.values()):
            qrels[query.id] = relevant
    return qrels
