"""What every benchmark is read into: queries and candidates by language, and who answers whom."""

from collections.abc import Mapping
from dataclasses import dataclass

Qrels = Mapping[str, Mapping[str, int]]
"""query_id -> doc_id -> relevance."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A query or a candidate: its id and its text, without a prompt."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A benchmark in memory. `qrels` hold the relevant candidates of a query in every language."""

    languages: tuple[str, ...]
    queries: Mapping[str, tuple[Entry, ...]]
    candidates: Mapping[str, tuple[Entry, ...]]
    qrels: Qrels

    @property
    def num_queries(self) -> int:
        return sum(map(len, self.queries.values()))

    @property
    def num_candidates(self) -> int:
        return sum(map(len, self.candidates.values()))
