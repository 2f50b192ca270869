"""Rows of groups that come too often in a room are replaced."""

import numpy as np

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.categories import build_categories
from distributed_hbt.data.plan.refill import refill
from distributed_hbt.data.plan.streams import Streams
from distributed_hbt.data.plan.usable import UsableRows


def furnished(index):
    """(streams, the mixed category) of an index of de and en."""
    streams = Streams(UsableRows(index, np.ones(2, bool)), by_source=False)
    (mixed,) = build_categories(streams, SamplingConfig(strategy="x_x"), None)
    return streams, mixed


def test_replacements_come_from_the_same_stream_and_respect_the_capacity(parallel_index):
    """Entries: 2g is group g in de, 2g + 1 in en. Group 0 comes 4 times; 2 are allowed."""
    streams, mixed = furnished(parallel_index(3, "de en"))
    query = np.array([0, 0, 1, 1, 2, 5])
    stream = query % 2
    filled = refill(streams, mixed, query, stream, np.array([0, 3]), 2, key=1)
    assert filled[[1, 2, 4, 5]].tolist() == [0, 1, 2, 5]
    assert filled[0] % 2 == 0
    assert filled[3] % 2 == 1
    assert np.bincount(filled // 2).tolist() == [2, 2, 2]


def test_other_streams_help_out_where_the_own_has_nothing_left(build_index):
    """de has group 0 alone, which is full: en has to give the rows."""
    queries = [(0, "de", 0, 1), (1, "en", 0, 1), (2, "en", 0, 1)]
    index = build_index(queries, [(0, "de", 2), (1, "en", 2), (2, "en", 2)])
    streams, mixed = furnished(index)
    filled = refill(streams, mixed, np.zeros(6, np.int64), np.zeros(6, np.int64), np.arange(2, 6), 2, key=1)
    assert np.bincount(filled).tolist() == [2, 2, 2]
    assert filled[:2].tolist() == [0, 0]


def test_replacements_are_spread_over_the_stream(parallel_index):
    """A search from the front would fill up with the first groups every time."""
    streams, mixed = furnished(parallel_index(50, "de en"))
    seen = set()
    for key in range(200):
        filled = refill(streams, mixed, np.zeros(5, np.int64), np.zeros(5, np.int64), np.arange(1, 5), 1, key)
        assert len(set(filled.tolist())) == 5
        seen.update(filled[1:].tolist())
    assert len(seen) == 49
