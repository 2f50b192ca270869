"""Rows whose tokens are no longer those that were written: found when a batch has them."""

import logging

import numpy as np

from distributed_hbt.data.rows import Rows
from distributed_hbt.data.store import Store
from distributed_hbt.errors import DataError

_log = logging.getLogger(__name__)


class DamagedRows:
    """Looks at all rows of every global batch, on every rank: so all of them see the same, and end alike or
    leave out alike, whatever their number. Where `says_so`, a row that is left out is named in the log, once.
    """

    def __init__(self, store: Store, *, skip: bool, says_so: bool) -> None:
        self._store = store
        self._skip = skip
        self._says_so = says_so
        self._named: set[str] = set()
        self.looked_at = 0
        """Rows so far: it grows as long as the store can be read."""

    def left_out(self, rows: Rows) -> Rows:
        """The same rows with each damaged one replaced by the next that is whole, the first following the
        last. A batch so keeps its size, and what is in it depends on nothing but the step and the store.

        Raises DataError for a damaged row where they are not to be skipped, or where no row is whole.
        """
        wrong = [self._wrong(rows, row) for row in range(len(rows))]
        if not any(wrong):
            return rows
        for what in wrong:
            self._report(what)
        (whole,) = np.nonzero([what is None for what in wrong])
        if not len(whole):
            raise damaged(wrong[0] or "", "so are all other rows of a batch", self._store)
        place = np.searchsorted(whole, np.arange(len(rows))) % len(whole)
        return rows.at(whole[place])

    def _wrong(self, rows: Rows, row: int) -> str | None:
        """file:line and what of it is damaged; None for a row that is whole."""
        self.looked_at += 1
        store, query = self._store, int(rows.query_B[row])
        if not store.holds_query(query):
            return f"{store.where(query)}: its query"
        for passage in rows.passage_BP[row].tolist():
            if passage >= 0 and not store.holds_passage(passage):
                return f"{store.where(query)}: its passage {store.docid(passage)}"
        return None

    def _report(self, wrong: str | None) -> None:
        if wrong is None or wrong in self._named:
            return
        self._named.add(wrong)
        if not self._skip:
            raise damaged(wrong, "its tokens are not those that were written", self._store)
        if self._says_so:
            _log.warning("%s is damaged in the store %s; the row is left out", wrong, self._store.folder)


def damaged(wrong: str, how: str, store: Store) -> DataError:
    """`wrong`: file:line of the row, and what of it."""
    where, _, part = wrong.rpartition(": ")
    what = f"{part} is damaged in the store {store.folder} ({how})"
    return DataError(where, what, "delete the store to have it built anew, or set data.damaged_rows: skip")
