"""Which rows the data can give: for every query entry, the languages that it has an answer in."""

import numpy as np
import numpy.typing as npt

from distributed_hbt.data.plan.index import Int64, PlanIndex

Entries = npt.NDArray[np.int32] | npt.NDArray[np.int64]
"""Numbers of query entries."""

_CHUNK = 1 << 20


class UsableRows:
    """For every query entry the passage languages it can be asked in, as bits.

    A language is usable for a query if it is one of the `selected`, the query's own language is too, and
    the group's answer entry in it has another key than the query. Memory: ceil(L / 8) + 4 bytes a query
    entry (8 instead of 4 from 2^31 entries on).
    """

    def __init__(self, index: PlanIndex, selected: npt.NDArray[np.bool_]) -> None:
        """selected: bool[L], the languages that take part."""
        self.index = index
        self._bits = np.zeros((index.num_queries, (len(index.languages) + 7) // 8), dtype=np.uint8)
        for start in range(0, index.num_queries, _CHUNK):
            self._fill(start, min(start + _CHUNK, index.num_queries), selected)
        order = np.argsort(index.query_language, kind="stable")
        self._by_language: Entries = order.astype(np.int32) if index.num_queries < 2**31 else order
        per_language = np.bincount(index.query_language, minlength=len(index.languages))
        self._language_start = np.concatenate([[0], np.cumsum(per_language)])

    def _fill(self, start: int, stop: int, selected: npt.NDArray[np.bool_]) -> None:
        index = self.index
        group = index.query_group[start:stop]
        first = index.answer_start[group]
        count = index.answer_start[group + 1] - first
        count[~selected[index.query_language[start:stop]]] = 0
        for offset in range(int(count.max(initial=0))):
            row = np.flatnonzero(count > offset)
            answer = first[row] + offset
            different = index.answer_key[answer] != index.query_key[start:stop][row]
            usable = different & selected[index.answer_language[answer]]
            row, language = row[usable], index.answer_language[answer[usable]]
            # one answer a row and pass, so no row is written twice here
            self._bits[start + row, language >> 3] |= (1 << (language & 7)).astype(np.uint8)

    def queries_of(self, language: int) -> Entries:
        """Query entries of a language, ascending; a view."""
        return self._by_language[self._language_start[language] : self._language_start[language + 1]]

    def answered_in(self, query: Entries, language: int) -> npt.NDArray[np.bool_]:
        """bool[n]: whether each query has a usable answer in `language`."""
        bits: npt.NDArray[np.uint8] = self._bits[query, language >> 3]
        return np.asarray(bits & np.uint8(1 << (language & 7)), dtype=bool)

    def answered_abroad(self, query: Entries, language: int) -> npt.NDArray[np.bool_]:
        """bool[n]: whether each query (all of them of `language`) has a usable answer in another."""
        bits = self._bits[query]
        bits[:, language >> 3] &= np.uint8(0xFF ^ (1 << (language & 7)))
        return np.asarray(bits.any(axis=1), dtype=bool)

    def languages_abroad(self, query: Int64) -> npt.NDArray[np.bool_]:
        """bool[n, L]: the languages other than its own that each query has a usable answer in."""
        table = np.unpackbits(
            self._bits[query], axis=1, count=len(self.index.languages), bitorder="little"
        ).astype(bool)
        table[np.arange(len(query)), self.index.query_language[query]] = False
        return table
