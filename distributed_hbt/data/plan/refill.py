"""Replaces the rows of groups that come up more often than a room has batches."""

from collections.abc import Iterable

import numpy as np

from distributed_hbt.data.plan.categories import Category
from distributed_hbt.data.plan.index import Int64
from distributed_hbt.data.plan.keyed import fold, scatter32
from distributed_hbt.data.plan.streams import Stream, Streams


def refill(
    streams: Streams,
    category: Category,
    query: Int64,
    stream: Int64,
    surplus: Int64,
    capacity: int,
    key: int,
) -> Int64:
    """`query` with the rows at `surplus` replaced, so that no group comes more than `capacity` times.

    query, stream: int64[n], entry and stream number of every row of the room; surplus: row numbers. A
    row is replaced from its own stream while that has groups with room to spare, then from any stream
    of the category. The category has at least n / capacity groups, so there is always enough.
    """
    group_of = streams.rows.index.query_group
    filled = query.copy()
    kept = np.ones(len(query), dtype=bool)
    kept[surplus] = False
    spare = capacity - np.bincount(group_of[query[kept]], minlength=streams.rows.index.num_groups)
    homeless: list[Int64] = []
    for number in np.unique(stream[surplus]).tolist():
        rows = surplus[stream[surplus] == number]
        own = [category.streams[number]]
        found = _take(streams, own, len(rows), spare, fold(key, "refill", number))
        filled[rows[: len(found)]] = found
        homeless.append(rows[len(found) :])
    rest = np.concatenate(homeless)
    found = _take(streams, category.streams, len(rest), spare, fold(key, "refill"))
    assert len(found) == len(rest), "a category has fewer groups than a batch has rows"
    filled[rest] = found
    return filled


def _take(streams: Streams, source: Iterable[Stream], wanted: int, spare: Int64, key: int) -> Int64:
    """Up to `wanted` entries of groups with `spare` places, each as seldom as possible; uses them up."""
    taken = np.empty(0, dtype=np.int64)
    if wanted == 0:
        return taken
    group_of = streams.rows.index.query_group
    entries = np.concatenate([streams.entries(stream) for stream in source]).astype(np.int64)
    entries = entries[np.argsort(scatter32(np.arange(len(entries)), key))]
    while len(taken) < wanted:
        # one entry a group and pass
        entries_left = entries[spare[group_of[entries]] > 0]
        _, first = np.unique(group_of[entries_left], return_index=True)
        chosen = entries_left[np.sort(first)][: wanted - len(taken)]
        if len(chosen) == 0:
            break
        spare[group_of[chosen]] -= 1
        taken = np.concatenate([taken, chosen])
        # entries used in this pass go to the end, so that each is used once before any is used again
        entries = np.concatenate([entries_left[~np.isin(entries_left, chosen)], chosen])
    return taken
