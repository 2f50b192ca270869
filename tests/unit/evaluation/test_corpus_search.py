"""Queries against a corpus on disk, set against all scores of everything."""

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distributed_hbt.config.evaluation import EvaluationConfig, StoreConfig
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus_search import CorpusQueries, Places, search_corpora, survey_corpora
from distributed_hbt.evaluation.embedding_store import evenly_chosen
from distributed_hbt.evaluation.encode import encode
from distributed_hbt.evaluation.fingerprint import encoder_fingerprint
from distributed_hbt.evaluation.jobs.job import Job
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.evaluation.merged import CorpusHits
from distributed_hbt.models.saved import load_encoder
from tests.tiny_encoder import write_checkpoint

WORDS = [
    "kisiwa",
    "mto",
    "mlima",
    "bahari",
    "nyota",
    "jua",
    "mwezi",
    "mvua",
    "upepo",
    "moto",
    "maji",
    "ardhi",
    "mti",
    "ua",
    "jani",
]


def sentence(number: int) -> str:
    """Different lengths, and every seventh one the same text: real ties."""
    if number % 7 == 0:
        return "mto mlima bahari"
    return " ".join(WORDS[(number * k + k) % len(WORDS)] for k in range(1, 2 + number % 9))


PASSAGES = {f"{(n * 37) % 1009}#{n}": sentence(n) for n in range(300)}
QUERIES = tuple(Entry(f"q{n}", sentence(n * 11 + 1)) for n in range(12))
WANTED = {f"q{n}": [list(PASSAGES)[(n * 31) % 300], list(PASSAGES)[(n * 17 + 5) % 300]] for n in range(11)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[CorpusFile, ...]:
    folder = tmp_path_factory.mktemp("corpus")
    rows = list(PASSAGES.items())
    for number, part in enumerate((rows[:120], rows[120:])):
        with gzip.open(folder / f"docs-{number}.jsonl.gz", "wt", encoding="utf-8") as file:
            for doc_id, text in part:
                title, _, rest = text.partition(" ")
                file.write(
                    json.dumps({"docid": doc_id, "title": title if rest else "", "text": rest or title})
                )
                file.write("\n")
    return tuple(CorpusFile(folder / f"docs-{number}.jsonl.gz", "docid") for number in range(2))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderChoice:
    checkpoint = write_checkpoint(tmp_path_factory.mktemp("encoder"), PASSAGES.values())
    folder = checkpoint / "encoder"
    return EncoderChoice(folder, encoder_fingerprint(folder), None, 512)


class Backwards:
    """Does jobs from the last to the first; as several workers might."""

    def __init__(self) -> None:
        self._local = LocalExecutor("cpu")
        self.ran: list[str] = []

    def run(self, jobs: Sequence[Job], label: str) -> None:
        self.ran += [job.output.name for job in jobs if not job.output.exists()]
        self._local.run(list(jobs)[::-1], label)


def search(
    corpus: tuple[CorpusFile, ...],
    encoder: EncoderChoice,
    work: Path,
    executor: Backwards,
    shard_rows: int,
    store: StoreConfig | None = None,
) -> CorpusHits:
    settings = EvaluationConfig(shard_rows=shard_rows, depth=20, store=store)
    (surveys,) = survey_corpora([corpus], settings, work / "stores", executor)
    request = CorpusQueries("sw", QUERIES, WANTED, surveys, depth=20)
    places = Places(work / "work", work / "stores")
    (hits,) = search_corpora([request], encoder, settings, places, executor, "test")
    return hits


@pytest.fixture(scope="module")
def all_scores(encoder: EncoderChoice) -> np.ndarray:
    """Every query against every passage, each text alone in its batch."""
    loaded = load_encoder(encoder.folder)

    def embed(tokens: list[list[int]]) -> np.ndarray:
        return encode(loaded.encoder, loaded.texts, tokens, max_tokens_per_batch=1)

    queries = embed(loaded.texts.queries([query.text for query in QUERIES]))
    return queries @ embed(loaded.texts.passages(list(PASSAGES.values()))).T


@pytest.mark.parametrize("shard_rows", [7, 50, 1000])
def test_hits_are_those_of_all_scores(
    corpus: tuple[CorpusFile, ...],
    encoder: EncoderChoice,
    all_scores: np.ndarray,
    tmp_path: Path,
    shard_rows: int,
) -> None:
    """Catches a shard left out, rows off by one, titles dropped, ranks counted in one shard alone."""
    hits = search(corpus, encoder, tmp_path, Backwards(), shard_rows).of_query
    names = list(PASSAGES)
    for query, scores_N in zip(QUERIES, all_scores, strict=True):
        found = hits[query.id]
        column = {name: i for i, name in enumerate(names)}
        assert [scores_N[column[name]] for name in found.doc_ids] == pytest.approx(found.scores, abs=1e-5)
        kth = np.sort(scores_N)[-20]
        assert all(scores_N[column[name]] >= kth - 1e-6 for name in found.doc_ids)
        assert len(set(found.doc_ids)) == 20
        for name, (score, rank) in found.wanted.items():
            own = scores_N[column[name]]
            assert score == pytest.approx(own, abs=1e-5)
            assert (scores_N > own + 1e-6).sum() < rank <= (scores_N >= own - 1e-6).sum()
    assert {name for of in hits.values() for name in of.wanted} == {n for of in WANTED.values() for n in of}


def test_ties_go_by_doc_id_also_at_the_cut(
    corpus: tuple[CorpusFile, ...], encoder: EncoderChoice, tmp_path: Path
) -> None:
    """Catches ties that the order of the rows or of the shards settles: every seventh passage is alike."""
    for shard_rows in (7, 300):
        hits = search(corpus, encoder, tmp_path / str(shard_rows), Backwards(), shard_rows)
        alike = sorted(doc_id for doc_id, text in PASSAGES.items() if text == sentence(0))
        for found in hits.of_query.values():
            inside = [doc_id for doc_id in found.doc_ids if doc_id in alike]
            assert inside == alike[: len(inside)]


def test_only_what_is_missing_is_done_again(
    corpus: tuple[CorpusFile, ...], encoder: EncoderChoice, tmp_path: Path
) -> None:
    """Catches shards that are encoded again after a kill, and ones of other queries taken for these."""
    first, second = Backwards(), Backwards()
    hits = search(corpus, encoder, tmp_path, first, 50)
    shards = sorted((tmp_path / "work").rglob("shard-*.npz"))
    assert len(shards) == 3 + 4
    (merged,) = (tmp_path / "work").rglob("merged.json")
    for path in (shards[2], shards[5], merged):
        path.unlink()
    assert search(corpus, encoder, tmp_path, second, 50) == hits
    assert sorted(second.ran) == sorted([shards[2].name, shards[5].name, merged.name])
    other = EncoderChoice(encoder.folder, "another", None, 512)
    third = Backwards()
    search(corpus, other, tmp_path, third, 50)
    assert len(third.ran) == 1 + 2 + 7 + 1


def test_a_store_is_written_once_and_read_by_the_next_search(
    corpus: tuple[CorpusFile, ...], encoder: EncoderChoice, tmp_path: Path
) -> None:
    """Catches a store that is never read, one that another dtype reads, and rounding the second time only."""
    exact = search(corpus, encoder, tmp_path / "without", Backwards(), 50).of_query
    first = search(corpus, encoder, tmp_path, Backwards(), 50, StoreConfig(dtype="float16"))
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "stores").rglob("shard-*")}
    assert len(written) == 7
    shutil.rmtree(tmp_path / "work")
    assert search(corpus, encoder, tmp_path, Backwards(), 50, StoreConfig(dtype="float16")) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert first.loss is None
    for query_id, found in first.of_query.items():
        assert found.scores == pytest.approx(exact[query_id].scores, abs=2e-3)
        assert found.scores != exact[query_id].scores
    next(iter(written)).write_bytes(b"damaged")
    shutil.rmtree(tmp_path / "work")
    assert search(corpus, encoder, tmp_path, Backwards(), 50, StoreConfig(dtype="float16")) == first


@pytest.mark.parametrize(
    "store", [{"codes": "int8"}, {"codes": "prefix", "prefix": 8}], ids=["int8", "prefix"]
)
def test_codes_say_what_they_lose(
    corpus: tuple[CorpusFile, ...], encoder: EncoderChoice, tmp_path: Path, store: dict[str, Any]
) -> None:
    """Catches a loss that is not that of these hits, and scores of codes given for exact ones."""
    exact = search(corpus, encoder, tmp_path, Backwards(), 1000, StoreConfig(dtype="float32")).of_query
    settings = StoreConfig(dtype="float32", candidates=1, measured_queries=5, **store)
    found = search(corpus, encoder, tmp_path, Backwards(), 1000, settings)
    assert found.loss is not None
    measured = [QUERIES[i].id for i in evenly_chosen(len(QUERIES), 5)]
    shares = [
        len(set(exact[q].doc_ids) & set(found.of_query[q].doc_ids)) / len(exact[q].doc_ids) for q in measured
    ]
    assert found.loss.num_queries == 5
    assert found.loss.recall == pytest.approx(sum(shares) / 5)
    assert (found.loss.recall < 1) == (settings.codes == "prefix")  # int8 loses nothing of so few passages
    for query_id, hits in found.of_query.items():
        scores = dict(zip(exact[query_id].doc_ids, exact[query_id].scores, strict=True))
        for doc_id, score in zip(hits.doc_ids, hits.scores, strict=True):
            assert score == pytest.approx(scores.get(doc_id, score), abs=1e-6)
        assert hits.wanted.keys() == exact[query_id].wanted.keys()
    many = settings.model_copy(update={"candidates": 20})
    everything = search(corpus, encoder, tmp_path, Backwards(), 1000, many)
    assert everything.loss is not None
    assert everything.loss.recall == 1
