"""Queries and their judgments, read strictly: every fault is named by its file and line."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from distributed_hbt.config.evaluation import BeirBenchmark, CorpusBenchmark, MiraclBenchmark, MrTydiBenchmark
from distributed_hbt.data.example import BadRow
from distributed_hbt.data.formats.corpus import corpus_entries, table_entries
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.judgments import beir_line, judgment_lines, trec_line
from distributed_hbt.errors import DataError
from distributed_hbt.evaluation.benchmarks.beir import beir_files
from distributed_hbt.evaluation.benchmarks.collection import Entry, Qrels
from distributed_hbt.evaluation.benchmarks.judged_files import JudgedFiles
from distributed_hbt.evaluation.benchmarks.miracl import miracl_files
from distributed_hbt.evaluation.benchmarks.mr_tydi import mr_tydi_files
from distributed_hbt.evaluation.corpus.files import CorpusFile, run_file_id
from distributed_hbt.evaluation.corpus.survey import FileSurvey, find_documents

_log = logging.getLogger(__name__)

_OR_INCOMPLETE = "or set incomplete: true for this benchmark"


@dataclass(frozen=True, slots=True)
class JudgedCorpus:
    """Queries against one corpus.

    `task` names them in results: the language, or the split of a BEIR folder. `queries` are those with
    judgments, in the order of their file. `qrels` hold every judgment on them, also of relevance 0, and
    `judged_at` the file:line of each by (query_id, doc_id).
    """

    task: str
    queries: tuple[Entry, ...]
    qrels: Qrels
    corpus: tuple[CorpusFile, ...]
    judged_at: Mapping[tuple[str, str], str]


def load_judged(benchmark: CorpusBenchmark) -> tuple[JudgedCorpus, ...]:
    """One a task, in the order of the benchmark's languages. Files on the hub are fetched first.

    Raises DataError, naming file:line, for a line that can not be read, an id with white space or that
    comes twice, a pair judged in two ways, an empty query, and, unless the benchmark is `incomplete`, a
    topic without judgments and a judged query that is not there. (Of a BEIR folder, whose queries are
    those of all splits, queries without judgments are left out.)
    """
    return tuple(read_judged(found, incomplete=benchmark.incomplete) for found in _files(benchmark))


def check_judgments(
    judged: JudgedCorpus, surveys: Sequence[FileSurvey], *, incomplete: bool
) -> frozenset[str]:
    """The judged doc_ids that the corpus lacks.

    Raises DataError, naming the file:line of the first such judgment, unless `incomplete`, where a warning
    counts them.
    """
    doc_ids = dict.fromkeys(doc_id for _, doc_id in judged.judged_at)
    known = find_documents(surveys, list(doc_ids))
    unknown = frozenset(doc_id for doc_id in doc_ids if doc_id not in known)
    lacking = [(where, doc_id) for (_, doc_id), where in judged.judged_at.items() if doc_id in unknown]
    if lacking:
        (where, doc_id), *_ = lacking
        what = f"document {doc_id!r} is judged and the corpus of {judged.task} lacks it"
        if not incomplete:
            raise DataError(where, what, f"fetch the whole corpus, {_OR_INCOMPLETE}")
        count = f"{len(lacking)} of {len(judged.judged_at)} judgments are on such documents"
        _log.warning("%s: %s; %s: they count as not retrieved", where, what, count)
    return unknown


def _files(benchmark: CorpusBenchmark) -> Iterator[JudgedFiles]:
    match benchmark:
        case MiraclBenchmark():
            yield from (miracl_files(benchmark, language) for language in benchmark.languages)
        case MrTydiBenchmark():
            yield from (mr_tydi_files(benchmark, language) for language in benchmark.languages)
        case BeirBenchmark():
            yield beir_files(benchmark)
        case _:
            assert_never(benchmark)


def read_judged(found: JudgedFiles, *, incomplete: bool) -> JudgedCorpus:
    """The queries and judgments of one task; raises DataError as `load_judged` does."""
    qrels, judged_at = _read_qrels(found)
    queries = _read_queries(found)
    unjudged = [where for query, where in queries.values() if query.id not in qrels]
    if found.form == "trec":
        _refuse_or_count(unjudged, "the topic has no judgments", incomplete)
    lost = [where for (query_id, _), where in judged_at.items() if query_id not in queries]
    _refuse_or_count(lost, f"the judged query is not in {found.queries}", incomplete)
    chosen = tuple(query for query, _ in queries.values() if query.id in qrels)
    if not chosen:
        raise DataError(str(found.queries), f"{found.qrels} judges none of its queries", "check the split")
    return JudgedCorpus(
        task=found.task,
        queries=chosen,
        qrels={query.id: qrels[query.id] for query in chosen},
        corpus=found.corpus,
        judged_at={pair: where for pair, where in judged_at.items() if pair[0] in queries},
    )


def _refuse_or_count(places: Sequence[str], what: str, incomplete: bool) -> None:
    if places and not incomplete:
        raise DataError(places[0], what, f"fetch topics and qrels of one split, {_OR_INCOMPLETE}")
    if places:
        _log.warning("%s: %s; %d such lines are left out", places[0], what, len(places))


def _read_qrels(found: JudgedFiles) -> tuple[dict[str, dict[str, int]], dict[tuple[str, str], str]]:
    qrels: dict[str, dict[str, int]] = {}
    judged_at: dict[tuple[str, str], str] = {}
    for where, line in judgment_lines([found.qrels], trec_line if found.form == "trec" else beir_line):
        if isinstance(line, BadRow):
            raise DataError(where, line.reason, "mend the line, or fetch the file again")
        query_id, doc_id, relevance = line
        _check_id(query_id, "query", where)
        _check_id(doc_id, "document", where)
        before = qrels.setdefault(query_id, {}).setdefault(doc_id, relevance)
        first = judged_at.setdefault((query_id, doc_id), where)
        if before != relevance:
            what = f"query {query_id!r} and document {doc_id!r} have relevance {relevance}, but {before}"
            raise DataError(where, f"{what} at {first}", "leave one of the two judgments")
    return qrels, judged_at


def _read_queries(found: JudgedFiles) -> dict[str, tuple[Entry, str]]:
    """query_id -> the query and its file:line, in the order of the file."""
    paths = [found.queries]
    queries: dict[str, tuple[Entry, str]] = {}
    for line in table_entries(paths) if found.form == "trec" else corpus_entries(paths, "_id"):
        if isinstance(line, BadRow):
            raise DataError(line.where, line.reason, "mend the line, or fetch the file again")
        _check_id(line.identifier, "query", line.where)
        if line.identifier in queries:
            what = f"query id {line.identifier!r} stands at {queries[line.identifier][1]} already"
            raise DataError(line.where, what, "leave one of the two")
        if not line.text.strip():
            raise DataError(line.where, f"query {line.identifier!r} is empty", "mend the line")
        queries[line.identifier] = Entry(line.identifier, line.text), line.where
    return queries


def _check_id(identifier: str, kind: str, where: str) -> None:
    try:
        run_file_id(identifier, kind)
    except RowFault as fault:
        raise DataError(where, str(fault), "write the id without white space") from fault
