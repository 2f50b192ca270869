"""mMARCO: triples of ids (query, positive, negative), queries and collection per language."""

from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.config.data import MmarcoSource
from distributed_hbt.data import files
from distributed_hbt.data.example import BadRow, Example
from distributed_hbt.data.files import filled_lines
from distributed_hbt.data.formats import fields
from distributed_hbt.data.formats.corpus import passage, split_line, table_entries
from distributed_hbt.data.formats.fields import RowFault
from distributed_hbt.data.formats.text_index import TextIndex
from distributed_hbt.languages import language_code

_Merged = tuple[str, str, str, list[str]]
"""file:line of the first triple, query id, positive id, negative ids."""


def read(source: MmarcoSource) -> Iterator[Example | BadRow]:
    """The query id is the group. Triples of one query and positive are merged where they are adjacent.

    One language after the other, with the triples read once for each, so that the texts of only one
    language are on disk at a time. Its whole collection is indexed: the 39 million triples refer to
    nearly all of it, and a reading of them for the ids alone would cost more than it saves.
    """
    paths = files.expand(source.triples)
    for language in source.languages:
        with TextIndex() as queries, TextIndex() as corpus:
            yield from queries.add(table_entries(_files_of(source.queries, language)))
            yield from corpus.add(table_entries(_files_of(source.collection, language)))
            for merged in _merged(paths):
                if isinstance(merged, BadRow):
                    yield merged
                    continue
                try:
                    yield _example(merged, queries, corpus, language_code(language))
                except RowFault as fault:
                    yield BadRow(merged[0], str(fault))


def _files_of(path: str, language: str) -> list[Path]:
    return files.expand(path.replace("{language}", language))


def _example(merged: _Merged, queries: TextIndex, corpus: TextIndex, language: str) -> Example:
    where, query_id, positive, negatives = merged
    query = queries.get(query_id)
    if query is None:
        raise RowFault(f"query {query_id!r} is not among the queries")
    return Example(
        group_id=query_id,
        query=fields.filled(query.text, f"the text of query {query_id!r}"),
        query_language=language,
        passage_language=language,
        positives=(passage(corpus, positive),),
        negatives=tuple(passage(corpus, docid) for docid in negatives),
        where=where,
    )


def _merged(paths: list[Path]) -> Iterator[_Merged | BadRow]:
    pending: _Merged | None = None
    for where, triple in _triples(paths):
        if isinstance(triple, BadRow):
            yield triple
            continue
        query_id, positive, negative = triple
        if pending is not None and pending[1:3] == (query_id, positive):
            pending[3].append(negative)
            continue
        if pending is not None:
            yield pending
        pending = where, query_id, positive, [negative]
    if pending is not None:
        yield pending


def _triples(paths: list[Path]) -> Iterator[tuple[str, list[str] | BadRow]]:
    for where, line in filled_lines(paths):
        try:
            yield where, [part.strip() for part in split_line(line, 3)]
        except RowFault as fault:
            yield where, BadRow(where, str(fault))
