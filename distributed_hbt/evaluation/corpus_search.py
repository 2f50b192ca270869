"""Queries against corpora, by jobs: survey, shards, hits merged per query."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus.shards import Shard, cut_shards
from distributed_hbt.evaluation.corpus.survey import (
    FileSurvey,
    check_unique,
    corpus_fingerprint,
    find_documents,
    read_survey,
)
from distributed_hbt.evaluation.embedding_store import (
    Codes,
    EmbeddingStore,
    StoreIdentity,
    codes_of,
    evenly_chosen,
    prepare_store,
    rounded,
)
from distributed_hbt.evaluation.full_ranking import Floats
from distributed_hbt.evaluation.hits import Wanted
from distributed_hbt.evaluation.jobs.embed_rows import EmbedRows
from distributed_hbt.evaluation.jobs.embed_texts import EmbedTexts
from distributed_hbt.evaluation.jobs.job import Executor, Job
from distributed_hbt.evaluation.jobs.merge_hits import MergeHits
from distributed_hbt.evaluation.jobs.search_shard import SearchShard
from distributed_hbt.evaluation.jobs.survey_corpus import SurveyCorpus
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.evaluation.merged import CorpusHits, read_merged
from distributed_hbt.models.manifest import EncoderManifest


@dataclass(frozen=True, slots=True)
class Places:
    """`work` is the request's own and is removed by the caller when all is done; `stores` outlives it."""

    work: Path
    stores: Path


@dataclass(frozen=True, slots=True)
class CorpusQueries:
    """Queries against one surveyed corpus.

    `wanted` names, for a query, documents whose score and true rank are wanted however low they are; those
    that the corpus lacks are left out of the answer.
    """

    label: str
    queries: tuple[Entry, ...]
    wanted: Mapping[str, Sequence[str]]
    corpus: tuple[FileSurvey, ...]
    depth: int


def survey_corpora(
    corpora: Sequence[tuple[CorpusFile, ...]], settings: EvaluationConfig, stores: Path, executor: Executor
) -> list[tuple[FileSurvey, ...]]:
    """Every file looked through once, or not at all where that was done before; ids checked to be unique.

    Raises DataError with file:line for a row that can not be used.
    """
    jobs = {
        file: SurveyCorpus(_survey_path(stores, file, settings), file, settings.max_passage_characters)
        for corpus in corpora
        for file in corpus
    }
    for file, job in jobs.items():
        if read_survey(file, job.output) is None:
            job.output.unlink(missing_ok=True)
    executor.run(list(jobs.values()), "corpus survey")
    surveyed = [tuple(_read_survey(jobs[file]) for file in corpus) for corpus in corpora]
    for surveys in surveyed:
        check_unique(surveys)
    return surveyed


def search_corpora(
    requests: Sequence[CorpusQueries],
    encoder: EncoderChoice,
    settings: EvaluationConfig,
    places: Places,
    executor: Executor,
    label: str,
) -> list[CorpusHits]:
    """The hits of every query of every request.

    All requests' shards are handed out together, so that workers are busy to the end. Raises DataError,
    CheckpointError or WorkerFailed, as the jobs do.
    """
    searches = [_Search(request, encoder, settings, places) for request in requests]
    embedding = {job.output: job for search in searches for job in search.embedding_jobs()}
    executor.run(list(embedding.values()), f"{label}: queries")
    jobs = [search.shard_jobs() for search in searches]
    executor.run([job for of_search in jobs for job in of_search], label)
    executor.run([search.merge_job(of) for search, of in zip(searches, jobs, strict=True)], f"{label}: merge")
    return [search.hits() for search in searches]


class _Search:
    """One request: its folder below `work` is named by all that its files depend on."""

    def __init__(
        self, request: CorpusQueries, encoder: EncoderChoice, settings: EvaluationConfig, places: Places
    ) -> None:
        self._request = request
        self._encoder = encoder
        self._settings = settings
        self._shards = cut_shards(request.corpus, settings.shard_rows)
        self._work = places.work
        self._folder = places.work / f"{request.label}-{self._digest()}"
        self._store = _store(request, encoder, settings, places.stores, self._shards)
        self._found = find_documents(
            request.corpus, sorted({doc_id for doc_ids in request.wanted.values() for doc_id in doc_ids})
        )

    def embedding_jobs(self) -> list[Job]:
        return [self._query_job(), *self._wanted_jobs()]

    def shard_jobs(self) -> list[SearchShard]:
        """Needs the outputs of `embedding_jobs`."""
        wanted = self._wanted()
        return [self._shard_job(shard, wanted) for shard in self._shards]

    def merge_job(self, jobs: Sequence[SearchShard]) -> MergeHits:
        """Needs the outputs of `shard_jobs`."""
        parts = tuple(job.output for job in jobs)
        about = f"the hits of {self._request.label}"
        return MergeHits(self._merged, parts, self._wanted(), self._request.depth, self._measured, about)

    def hits(self) -> CorpusHits:
        """Needs the output of `merge_job`."""
        return read_merged(self._merged, [query.id for query in self._request.queries])

    @property
    def _merged(self) -> Path:
        return self._folder / "merged.json"

    def _digest(self) -> str:
        content = {
            "encoder": self._encoder_facts(),
            "queries": [(query.id, query.text) for query in self._request.queries],
            "wanted": {query_id: list(doc_ids) for query_id, doc_ids in self._request.wanted.items()},
            "corpus": corpus_fingerprint(self._request.corpus),
            "depth": self._request.depth,
            "shard_rows": self._settings.shard_rows,
            "store": self._settings.store
            and self._settings.store.model_dump(mode="json", exclude={"folder"}),
        }
        return _digest_of(content)

    def _query_job(self) -> EmbedTexts:
        """Requests with the same queries share it."""
        texts = tuple(query.text for query in self._request.queries)
        digest = _digest_of({"encoder": self._encoder_facts(), "texts": texts})
        about = f"the queries of {self._request.label}"
        return EmbedTexts(self._work / f"queries-{digest}.npy", self._encoder, "query", texts, about)

    def _encoder_facts(self) -> dict[str, Any]:
        return {**asdict(self._encoder), "folder": None}

    def _wanted_jobs(self) -> list[EmbedRows]:
        """The wanted documents are encoded first, so that every shard can count what beats them."""
        rows: dict[int, list[int]] = {}
        for file, row in self._found.values():
            rows.setdefault(file, []).append(row)
        return [
            EmbedRows(
                self._folder / f"wanted-{file:05d}.npy",
                self._encoder,
                self._request.corpus[file].file,
                tuple(sorted(rows[file])),
                self._settings.max_passage_characters,
            )
            for file in sorted(rows)
        ]

    def _wanted(self) -> Wanted:
        query_QD = np.load(self._query_job().output)
        vectors = self._wanted_vectors()
        doc_ids = [
            tuple(d for d in self._request.wanted.get(query.id, ()) if d in self._found)
            for query in self._request.queries
        ]
        scores = _scores(query_QD, doc_ids, vectors)
        if self._codes is None:
            return Wanted(tuple(doc_ids), scores, scores)
        codes = self._codes
        code_vectors = {d: codes.unpack(codes.pack(v[None]))[0] for d, v in vectors.items()}
        return Wanted(tuple(doc_ids), scores, _scores(codes.queries(query_QD), doc_ids, code_vectors))

    def _wanted_vectors(self) -> dict[str, Floats]:
        """doc_id -> embedding [D], as the search sees it."""
        embeddings: dict[tuple[int, int], Floats] = {}
        for job in self._wanted_jobs():
            file = next(i for i, survey in enumerate(self._request.corpus) if survey.file == job.file)
            embedding_ND = np.load(job.output)
            if self._settings.store is not None:
                embedding_ND = rounded(embedding_ND, self._settings.store.dtype)
            embeddings |= {(file, row): v for row, v in zip(job.rows, embedding_ND, strict=True)}
        return {doc_id: embeddings[place] for doc_id, place in self._found.items()}

    @property
    def _codes(self) -> Codes | None:
        return None if self._store is None else self._store.codes

    @property
    def _measured(self) -> tuple[int, ...]:
        """Queries that are searched exactly beside the codes."""
        if self._settings.store is None or self._codes is None:
            return ()
        return evenly_chosen(len(self._request.queries), self._settings.store.measured_queries)

    def _shard_job(self, shard: Shard, wanted: Wanted) -> SearchShard:
        return SearchShard(
            self._folder / f"shard-{shard.index:06d}.npz",
            self._encoder,
            shard,
            self._query_job().output,
            wanted,
            self._request.depth,
            self._settings.max_passage_characters,
            self._settings.search_memory_mb,
            self._store,
            self._settings.store.candidates if self._settings.store else 1,
            self._measured,
        )


def _scores(
    query_QD: Floats, doc_ids: Sequence[Sequence[str]], vectors: Mapping[str, Floats]
) -> tuple[Floats, ...]:
    """Every query's scores of its own documents."""
    return tuple(
        np.array([vectors[doc_id] @ query_D for doc_id in of_query], np.float32)
        for query_D, of_query in zip(query_QD, doc_ids, strict=True)
    )


def _store(
    request: CorpusQueries,
    encoder: EncoderChoice,
    settings: EvaluationConfig,
    stores: Path,
    shards: Sequence[Shard],
) -> EmbeddingStore | None:
    """The store of the corpus's embeddings, where one is asked for. Raises as `prepare_store` does."""
    if settings.store is None:
        return None
    manifest = EncoderManifest.read(encoder.folder)
    identity = StoreIdentity(
        encoder_fingerprint=encoder.fingerprint,
        corpus_fingerprint=corpus_fingerprint(request.corpus),
        shard_rows=settings.shard_rows,
        dtype=settings.store.dtype,
        dimension=encoder.dimension or manifest.embedding_dimension,
    )
    return prepare_store(
        Path(settings.store.folder or stores / "embeddings"),
        identity,
        codes_of(settings.store, normalize=manifest.normalize),
        num_shards=len(shards),
        num_rows=sum(shard.size for shard in shards),
    )


def _read_survey(job: SurveyCorpus) -> FileSurvey:
    survey = read_survey(job.file, job.output)
    if survey is None:
        raise DataError(str(job.file.path), "was changed while it was read", "let it be, then start again")
    return survey


def _survey_path(stores: Path, file: CorpusFile, settings: EvaluationConfig) -> Path:
    facts = {**asdict(file), "path": str(file.path), "limit": settings.max_passage_characters}
    return stores / "corpora" / f"{_digest_of(facts)}.npz"


def _digest_of(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
