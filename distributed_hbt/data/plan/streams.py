"""Streams: the query entries that rows are drawn from, without replacement per epoch."""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from distributed_hbt.data.plan.index import Int64
from distributed_hbt.data.plan.usable import Entries, UsableRows


@dataclass(frozen=True)
class Stream:
    """The usable query entries of one language (and one source, where sources are weighted).

    `passage` says which answers make an entry usable: a language number, or None for any language other
    than the query's own.
    """

    label: str
    language: int
    passage: int | None
    source: int | None
    size: int


class Streams:
    """Opens streams, and remembers the entries of the last few."""

    def __init__(self, rows: UsableRows, by_source: bool) -> None:
        self.rows = rows
        self._by_source = by_source
        self._remembered: OrderedDict[Stream, Entries] = OrderedDict()
        self._capacity = max(32, 3 * len(rows.index.languages))

    def of(self, language: int, passage: int | None) -> list[Stream]:
        """The non-empty streams of a query language: one, or one a source."""
        query = self._usable(language, passage)
        codes = self.rows.index.languages
        label = f"{codes[language]}>{'*' if passage is None else codes[passage]}"
        if not self._by_source:
            return [Stream(label, language, passage, None, len(query))] if len(query) else []
        sizes = np.bincount(self.rows.index.query_source[query])
        return [
            Stream(f"{label}@{source}", language, passage, int(source), int(sizes[source]))
            for source in np.flatnonzero(sizes)
        ]

    def entries(self, stream: Stream) -> Entries:
        """The stream's query entries, ascending; `stream.size` of them."""
        if stream not in self._remembered:
            query = self._usable(stream.language, stream.passage)
            if stream.source is not None:
                query = query[self.rows.index.query_source[query] == stream.source]
            self._remembered[stream] = query
        self._remembered.move_to_end(stream)
        if len(self._remembered) > self._capacity:
            self._remembered.popitem(last=False)
        return self._remembered[stream]

    def groups(self, stream: Stream) -> Int64:
        """Group number of every entry of the stream."""
        return self.rows.index.query_group[self.entries(stream)]

    def _usable(self, language: int, passage: int | None) -> Entries:
        query = self.rows.queries_of(language)
        if passage is None:
            usable = self.rows.answered_abroad(query, language)
        else:
            usable = self.rows.answered_in(query, passage)
        return query if usable.all() else query[usable]
