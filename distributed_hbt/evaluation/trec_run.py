"""TREC runs: `query_id Q0 doc_id rank score tag`, gzipped."""

import gzip
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from distributed_hbt.errors import DataError

RUN_TAG = "hbt"
"""Marks a run whose rank column is the true rank, so that a gap stands for documents left out."""


_TASK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,199})*")


@dataclass(frozen=True, slots=True)
class RunLine:
    """One retrieved document."""

    doc_id: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class Run:
    """query_id -> its documents, best first; `tag` is the last line's."""

    documents: dict[str, list[RunLine]]
    tag: str


def run_path(folder: Path, task: str) -> Path:
    """Where the run of a task stands: `mono/en` in `<folder>/mono/en.trec.gz`.

    Raises DataError for a name that leads elsewhere.
    """
    if not _TASK.fullmatch(task):
        raise DataError(f"task {task!r}", "is no name of a file", "name languages by their codes")
    return folder / f"{task}.trec.gz"


class RunWriter:
    """Writes one run file; the same lines give the same bytes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._raw: IO[bytes] = path.open("wb")
        # No name and no time in the header. Level 1: higher ones take five times as long for a twentieth.
        self._file = gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=self._raw, mtime=0)

    def write(
        self, query_id: str, doc_ids: Sequence[str], ranks: Sequence[int], scores: Sequence[float]
    ) -> None:
        """The documents of one query, best first. Scores get 9 significant digits: float32 exactly."""
        lines = [
            f"{query_id} Q0 {doc_id} {rank} {score:#.9g} {RUN_TAG}\n"
            for doc_id, rank, score in zip(doc_ids, ranks, scores, strict=True)
        ]
        self._file.write("".join(lines).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._raw.close()


def read_run(path: Path) -> Run:
    """Any TREC run, plain or gzipped.

    Documents are ordered by rank where the ranks of a query differ and follow its scores, else by score
    and then doc_id. Raises DataError with file:line for a malformed line or a document that occurs twice
    for one query.
    """
    documents: dict[str, dict[str, RunLine]] = {}
    tag = ""
    for where, fields in trec_lines(path, 6, "query_id Q0 doc_id rank score tag"):
        query_id, _, doc_id, rank, score, tag = fields
        of_query = documents.setdefault(query_id, {})
        if doc_id in of_query:
            raise DataError(where, f"{doc_id} occurs before for query {query_id}", "keep one of the lines")
        of_query[doc_id] = RunLine(doc_id, _integer(rank, "rank", where), _score(score, where))
    ordered = {query_id: _ordered(list(lines.values())) for query_id, lines in documents.items()}
    return Run(ordered, tag)


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Any TREC qrels, plain or gzipped: query_id -> doc_id -> relevance.

    Raises DataError with file:line for a malformed line or a document that is judged twice differently.
    """
    qrels: dict[str, dict[str, int]] = {}
    for where, (query_id, _, doc_id, relevance) in trec_lines(path, 4, "query_id 0 doc_id relevance"):
        value = _integer(relevance, "relevance", where)
        if qrels.setdefault(query_id, {}).setdefault(doc_id, value) != value:
            what = f"{doc_id} has another relevance before for query {query_id}"
            raise DataError(where, what, "keep one of the lines")
    return qrels


def trec_lines(path: Path, columns: int, form: str) -> Iterator[tuple[str, list[str]]]:
    """(file:line, its fields) of each line that is not blank."""
    from distributed_hbt.data.files import lines

    for number, line in lines(path):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != columns:
            what = f"has {len(fields)} columns instead of {columns}"
            raise DataError(f"{path}:{number}", what, f"write {form}")
        yield f"{path}:{number}", fields


def _ordered(lines: list[RunLine]) -> list[RunLine]:
    by_rank = sorted(lines, key=lambda line: line.rank)
    if all(a.rank < b.rank and a.score >= b.score for a, b in itertools.pairwise(by_rank)):
        return by_rank
    return sorted(lines, key=lambda line: (-line.score, line.doc_id))


def _integer(text: str, name: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(where, f"{name} {text!r} is no whole number", "write an integer") from None


def _score(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise DataError(where, f"score {text!r} is no number", "write a decimal number")
    return value
