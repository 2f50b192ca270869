"""What a teacher of one language reads in the place of a text: that of its group, in its language."""

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.rows import Rows
from distributed_hbt.data.store import Store
from distributed_hbt.errors import DataError
from distributed_hbt.languages import language_code

Int64 = NDArray[np.int64]


class Counterparts:
    """Queries and positive passages of a store -> those of their groups in one language.

    Memory: 8 bytes a group.
    """

    def __init__(self, store: Store, language: str) -> None:
        """Raises DataError where the store has no group with texts in this language."""
        index, code = store.index, language_code(language)
        if code not in index.languages:
            what = f"no text of the data is in {code}; it has {', '.join(index.languages)}"
            raise DataError("train.teacher.language", what, "name one of these, or add parallel data")
        self._store = store
        self._language = index.languages.index(code)
        of_language = np.flatnonzero(index.query_language == self._language)
        self._query_G = np.full(index.num_groups, -1, dtype=np.int64)
        self._query_G[index.query_group[of_language][::-1]] = of_language[::-1]  # the first of a group stays

    def of_queries(self, query_B: Int64) -> Int64:
        """Query entries, -1 where there is none; a query in the language is its own."""
        index = self._store.index
        own_B = index.query_language[query_B] == self._language
        return np.where(own_B, query_B, self._query_G[index.query_group[query_B]])

    def of_passages(self, passage_N: Int64, rows: Rows) -> tuple[Int64, Int64]:
        """For passages of a global batch: their counterparts, -1 where there is none, and of how many rows
        each is the positive. One that several groups name is taken for that of the first row."""
        target_B = rows.passage_BP[:, 0]
        counterpart_N, count_N = (
            np.full(len(passage_N), -1, dtype=np.int64),
            np.zeros(len(passage_N), np.int64),
        )
        for place, passage in enumerate(passage_N.tolist()):
            of_passage = np.flatnonzero(target_B == passage)
            count_N[place] = len(of_passage)
            if len(of_passage):
                counterpart_N[place] = self._of_positive(passage, int(rows.group_B[of_passage[0]]))
        return counterpart_N, count_N

    def _of_positive(self, passage: int, group: int) -> int:
        """Parallel groups list their passages alike, so the k-th answers to the k-th; else to the first."""
        index = self._store.index
        answers = range(index.answer_start[group], index.answer_start[group + 1])
        theirs = next((a for a in answers if index.answer_language[a] == self._language), None)
        if theirs is None:
            return -1
        wanted = self._store.positives(theirs)
        if passage in wanted:
            return passage
        for answer in answers:
            listed = self._store.positives(answer)
            if len(listed) == len(wanted) and passage in listed:
                return int(wanted[np.flatnonzero(listed == passage)[0]])
        return int(wanted[0])
