"""One pass over the rows: what is searched for, in what, and what is known beforehand."""

from array import array
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from distributed_hbt.config.mining import MiningConfig
from distributed_hbt.data.example import Example
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.mining.keys import text_key
from distributed_hbt.mining.known import Keys, KnownCollector, KnownPositives
from distributed_hbt.mining.source_corpus import SourceCorpus


@dataclass(slots=True)
class Queries:
    """The distinct queries of all rows, by (language, text); their ids count them."""

    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    positives: dict[str, dict[str, dict[str, None]]] = field(default_factory=dict)
    """language of the passage -> query_id -> ids of the positives whose scores margins need, in order."""

    def id_of(self, example: Example) -> str:
        """The id of the row's query, which is taken up unless it is there."""
        return self.ids.setdefault((example.query_language, example.query), f"q{len(self.ids)}")

    def add_positive(self, query_id: str, language: str, doc_id: str) -> None:
        """Note that the score of a passage for a query is wanted."""
        self.positives.setdefault(language, {}).setdefault(query_id, {})[doc_id] = None

    def entries(self, languages: Iterable[str], query_ids: Iterable[str] = ()) -> tuple[Entry, ...]:
        """The queries in these languages, and those with these ids, in order."""
        chosen, ids = set(languages), set(query_ids)
        return tuple(
            Entry(query_id, text)
            for (language, text), query_id in self.ids.items()
            if language in chosen or query_id in ids
        )

    @property
    def languages(self) -> list[str]:
        """Of all queries, sorted."""
        return sorted({language for language, _ in self.ids})


@dataclass(frozen=True, eq=False)
class Gathered:
    """`corpus` holds the passages of the sources: all of them where they are what is searched, else the
    positives where margins need their scores, else it is None. `told` are the keys (ascending) by which
    a passage is a known positive or a given negative that is kept."""

    queries: Queries
    known: KnownPositives
    told: Keys
    corpus: SourceCorpus | None


def gather(rows: Iterable[Example], config: MiningConfig, folder: Path) -> Gathered:
    """`folder` receives the files of `corpus`."""
    queries, known, given = Queries(), KnownCollector(), array("Q")
    with ExitStack() as stack:
        needed = not config.corpus or config.has_margin
        corpus = stack.enter_context(SourceCorpus(folder)) if needed else None
        for row in rows:
            query_id = queries.id_of(row)
            known.add(row)
            if corpus is not None:
                _add_passages(row, query_id, queries, corpus, config)
            if config.keep_given:
                given.extend(text_key(passage.full_text) for passage in row.negatives)
    positives = known.known()
    told = np.union1d(positives.keys, np.asarray(given))
    return Gathered(queries, positives, told, corpus)


def _add_passages(
    row: Example, query_id: str, queries: Queries, corpus: SourceCorpus, config: MiningConfig
) -> None:
    for passage in row.positives:
        doc_id = corpus.add(row.passage_language, passage)
        if config.has_margin:
            queries.add_positive(query_id, row.passage_language, doc_id)
    if not config.corpus:
        for passage in row.negatives:
            corpus.add(row.passage_language, passage)
