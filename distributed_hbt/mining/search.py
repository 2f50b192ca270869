"""The search for candidates, and the scores of positives that margins need."""

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.config.mining import MiningConfig
from distributed_hbt.evaluation.corpus.survey import FileSurvey
from distributed_hbt.evaluation.corpus_search import CorpusQueries, Places, search_corpora
from distributed_hbt.evaluation.hits import QueryHits
from distributed_hbt.evaluation.jobs.job import Executor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.mining.choose import Candidate
from distributed_hbt.mining.corpus_keys import Corpora, CorpusKeys
from distributed_hbt.mining.gather import Gathered, Queries

Relation = Literal["any", "same", "other"]
Hits = Mapping[str, Mapping[str, QueryHits]]
"""language of the passages -> query_id -> what was found."""


def goes_with(query_language: str, language: str, relation: Relation) -> bool:
    """Whether passages in `language` may be negatives of queries in `query_language`."""
    return relation == "any" or (query_language == language) == (relation == "same")


class Found:
    """What a search gave: candidates, and the scores of positives."""

    def __init__(
        self, hits: Hits, positives: Hits, keys: Mapping[str, CorpusKeys], relation: Relation
    ) -> None:
        """`hits` may hold what `relation` does not allow; `positives` hold scores of wanted passages."""
        self._hits = hits
        self._positives = positives
        self._keys = keys
        self._relation = relation

    def candidates(self, query_id: str, query_language: str) -> Iterator[Candidate]:
        """Those of all languages that are allowed, best first, ties by doc_id, then language."""
        languages = [one for one in self._hits if goes_with(query_language, one, self._relation)]
        lists = (self._in_language(query_id, language) for language in languages)
        return heapq.merge(*lists, key=lambda one: (-one.score, one.doc_id, one.language))

    def lowest(self, query_id: str, language: str, doc_ids: Iterable[str]) -> float:
        """The lowest score of these positives, whose language is `language`."""
        wanted = self._positives[language][query_id].wanted
        return min(wanted[doc_id][0] for doc_id in doc_ids)

    def _in_language(self, query_id: str, language: str) -> list[Candidate]:
        hits = self._hits[language][query_id]
        facts = self._keys[language].facts(hits.doc_ids)
        return [
            Candidate(language, doc_id, score, fact.keys, fact.same)
            for doc_id, score, fact in zip(hits.doc_ids, hits.scores, facts, strict=True)
        ]


def search(
    gathered: Gathered,
    corpora: Corpora,
    keys: Mapping[str, CorpusKeys],
    positives: Corpora | None,
    config: MiningConfig,
    *,
    encoder: EncoderChoice,
    settings: EvaluationConfig,
    places: Places,
    executor: Executor,
) -> Found:
    """Search every corpus for the queries that may have negatives there.

    `positives` are the corpora that hold the positives for the sake of their scores; None: `corpora` do.
    So many hits are kept that `config.depth` remain without the known positives of any row.
    """
    wanted = gathered.queries.positives
    requests = []
    for language, surveys in corpora.items():
        depth = config.depth + keys[language].most_known(gathered.known)
        of_corpus = wanted.get(language, {}) if positives is None else {}
        allowed = [one for one in gathered.queries.languages if goes_with(one, language, config.language)]
        requests.append(_request(language, gathered.queries, allowed, of_corpus, surveys, depth))
    for language, surveys in (positives or {}).items():
        label = f"positives-{language}"
        requests.append(_request(label, gathered.queries, (), wanted[language], surveys, 1))
    searched = search_corpora(requests, encoder, settings, places, executor, "mining")
    found = [one.of_query for one in searched]
    hits = dict(zip(corpora, found, strict=False))
    scored = hits if positives is None else dict(zip(positives, found[len(corpora) :], strict=True))
    return Found(hits, scored, keys, config.language)


def _request(
    label: str,
    queries: Queries,
    languages: Sequence[str],
    wanted: Mapping[str, Mapping[str, None]],
    surveys: tuple[FileSurvey, ...],
    depth: int,
) -> CorpusQueries:
    return CorpusQueries(
        label=re.sub(r"[^\w.-]", "_", label),  # it names a folder
        queries=queries.entries(languages, wanted),
        wanted={query_id: tuple(doc_ids) for query_id, doc_ids in wanted.items()},
        corpus=surveys,
        depth=depth,
    )
