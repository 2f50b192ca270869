"""Rooms: consecutive batches of one category, filled and dealt together so that no batch repeats a group."""

import numpy as np
import numpy.typing as npt

from distributed_hbt.data.plan.categories import Category
from distributed_hbt.data.plan.counts import MultinomialSeries
from distributed_hbt.data.plan.crowding import RoomSize
from distributed_hbt.data.plan.index import Int64
from distributed_hbt.data.plan.keyed import fold, mix, scatter32
from distributed_hbt.data.plan.permutation import permute
from distributed_hbt.data.plan.refill import refill
from distributed_hbt.data.plan.streams import Streams


class Rooms:
    """The rooms of one category; room r holds its batches r * R to r * R + R - 1.

    The rows of a room are the next window of every stream: position p of a stream of N entries is entry
    `p % N` of the order of epoch `p // N`, so every entry comes once in an epoch. How many rows each
    stream gives is multinomial. Sorted by group and dealt out one by one to the R batches, the rows of a
    group go to different batches, unless there are more than R of them. Those surplus rows are replaced
    by rows of less frequent groups, of the same stream where it has any: uniqueness always holds, and an
    epoch then covers its stream but for the replaced rows.
    """

    def __init__(
        self, category: Category, streams: Streams, size: RoomSize, batch_size: int, seed: int
    ) -> None:
        self.category = category
        self.size = size
        self._streams = streams
        self._seed = seed
        self._batch_size = batch_size
        self._series = MultinomialSeries(
            fold(seed, "rows", category.label), np.array(category.shares), size.batches * batch_size
        )
        self._sizes = np.array([stream.size for stream in category.streams], dtype=np.int64)
        keys = [fold(seed, "order", category.label, stream.label) for stream in category.streams]
        self._keys = np.array(keys, dtype=np.uint64)

    def compose(self, room: int) -> Int64:
        """int64[R, B]: the query entries of the room's batches."""
        batches = self.size.batches
        query, stream = self._draw(room)
        order_key = fold(self._seed, "deal", self.category.label, room)
        index = self._streams.rows.index
        order = by_group(index.query_group[query], order_key)
        surplus = order[occurrence(index.query_group[query[order]]) >= batches]
        if len(surplus):
            query = refill(self._streams, self.category, query, stream, surplus, batches, order_key)
            order = by_group(index.query_group[query], order_key)
        # the rows of a group lie in neighbouring columns: shuffled, they are spread over the room
        column = np.argsort(scatter32(np.arange(batches), fold(order_key, "batch")))
        return query[order].reshape(self._batch_size, batches).T[column]

    def _draw(self, room: int) -> tuple[Int64, Int64]:
        """Query entry and stream number of every row of a room, stream by stream."""
        before, count = self._series.window(room)
        stream = np.repeat(np.arange(len(count)), count)
        row = np.arange(len(stream)) - np.repeat(np.cumsum(count) - count, count)
        position = before[stream] + row
        size = self._sizes[stream]
        epoch = position // size if self.size.reshuffled else np.zeros_like(position)
        key = mix(self._keys[stream] ^ mix(epoch.astype(np.uint64)))
        offset = permute(position % size, size, key)
        query = np.empty(len(stream), dtype=np.int64)
        start = 0
        for number, rows in enumerate(count.tolist()):
            if rows:
                entries = self._streams.entries(self.category.streams[number])
                query[start : start + rows] = entries[offset[start : start + rows]]
            start += rows
        return query, stream


def by_group(group: Int64, key: int) -> Int64:
    """Order of rows that puts groups together; groups, and the rows of each, in an order named by `key`."""
    high = scatter32(group, fold(key, "group"))
    low = scatter32(np.arange(len(group)), fold(key, "row"))
    return np.argsort((high << np.uint64(32)) | low)


def occurrence(group: Int64) -> Int64:
    """For rows that lie together by group: how many rows of the same group precede each row."""
    starts: npt.NDArray[np.bool_] = np.ones(len(group), dtype=bool)
    starts[1:] = group[1:] != group[:-1]
    first = np.flatnonzero(starts)
    return np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))
