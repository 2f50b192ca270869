"""Judged queries: relevance judgments and queries, both held in memory, and a corpus on disk."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.files import filled_lines
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.corpus import passage
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.text_index import Entry, TextIndex

JudgmentLine = tuple[str, str, int]
"""Query id, document id, relevance: above zero is relevant."""


@dataclass(slots=True)
class Judged:
    """The judgments of one query; `where` is the file:line of the first."""

    where: str
    positives: list[str] = field(default_factory=list)
    negatives: list[str] = field(default_factory=list)


def judged_examples(
    judgments: dict[str, Judged],
    queries: Iterable[Entry | BadRow],
    corpus: Iterable[Entry | BadRow],
    languages: tuple[str, str],
) -> Iterator[Example | BadRow]:
    """An example per judged query. Queries without a judgment are of other splits and left out.

    The judgments say which passages are needed, so the corpus is read once and only those are kept.
    """
    texts: dict[str, str] = {}
    for query in queries:
        if isinstance(query, BadRow):
            yield query
        elif query.identifier in texts:
            yield BadRow(query.where, f"query id {query.identifier!r} comes twice")
        elif query.identifier in judgments:
            texts[query.identifier] = query.text
    with TextIndex() as index:
        index.want(docid for judged in judgments.values() for docid in judged.positives + judged.negatives)
        yield from index.fill(corpus)
        for query_id, judged in judgments.items():
            try:
                yield _example(query_id, judged, texts, index, languages)
            except RowFault as fault:
                yield BadRow(judged.where, str(fault))


def read_judgments(
    paths: Iterable[Path], parse: Callable[[str], JudgmentLine | None], into: dict[str, Judged]
) -> Iterator[BadRow]:
    """Adds every judgment line to `into`, by query id."""
    for where, judgment in judgment_lines(paths, parse):
        if isinstance(judgment, BadRow):
            yield judgment
        else:
            _add(into, judgment, where)


def judgment_lines(
    paths: Iterable[Path], parse: Callable[[str], JudgmentLine | None]
) -> Iterator[tuple[str, JudgmentLine | BadRow]]:
    """(file:line, judgment) of every line; `parse` gives None for a header and raises RowFault."""
    for where, line in filled_lines(paths):
        try:
            parsed = parse(line.decode())
        except UnicodeDecodeError:
            yield where, BadRow(where, "is not valid UTF-8")
        except RowFault as fault:
            yield where, BadRow(where, str(fault))
        else:
            if parsed is not None:
                yield where, parsed


def trec_line(line: str) -> JudgmentLine:
    """`query Q0 document relevance`. Raises RowFault."""
    columns = line.split()
    if len(columns) != 4:
        raise RowFault(f"has {len(columns)} columns, not the 4 of TREC qrels")
    return columns[0], columns[2], _relevance(columns[3])


def beir_line(line: str) -> JudgmentLine | None:
    """`query<TAB>document<TAB>score`; None for the header. Raises RowFault."""
    columns = line.split("\t")
    if len(columns) != 3:
        raise RowFault(f"has {len(columns)} tab-separated columns, not 3 (query-id, corpus-id, score)")
    if columns[2].strip() == "score":
        return None
    return columns[0], columns[1], _relevance(columns[2])


def _relevance(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise RowFault(f"relevance {text!r} is no whole number") from error


def _add(into: dict[str, Judged], judgment: JudgmentLine, where: str) -> None:
    query_id, docid, grade = judgment
    judged = into.setdefault(query_id, Judged(where))
    chosen = judged.positives if grade > 0 else judged.negatives
    if docid not in chosen:
        chosen.append(docid)


def _example(
    query_id: str, judged: Judged, texts: dict[str, str], corpus: TextIndex, languages: tuple[str, str]
) -> Example:
    if query_id not in texts:
        raise RowFault(f"query {query_id!r} is judged but not among the queries")
    if not judged.positives:
        raise RowFault(f"query {query_id!r} has no positive passage")
    return Example(
        group_id=query_id,
        query=fields.filled(texts[query_id], f"the text of query {query_id!r}"),
        query_language=languages[0],
        passage_language=languages[1],
        positives=tuple(passage(corpus, docid) for docid in judged.positives),
        negatives=tuple(passage(corpus, docid) for docid in judged.negatives),
        where=judged.where,
    )
