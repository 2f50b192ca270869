"""The hybrid batch plan: global batch first, as a function of (seed, step); ranks come second."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.categories import Category, Kind, build_categories, passage_weights
from distributed_hbt.data.plan.counts import MultinomialSeries
from distributed_hbt.data.plan.crowding import crowding, room_size
from distributed_hbt.data.plan.index import Int64, PlanIndex
from distributed_hbt.data.plan.keyed import fold, uniform
from distributed_hbt.data.plan.rooms import Rooms
from distributed_hbt.data.plan.streams import Streams
from distributed_hbt.data.plan.usable import UsableRows
from distributed_hbt.errors import ConfigError

_REMEMBERED_ROWS = 1 << 21
"""Rows of rooms kept at once: 16 MiB."""


@dataclass(frozen=True, eq=False)
class GlobalBatch:
    """The rows of one optimizer step on all ranks together: query i goes with answer i."""

    step: int
    kind: Kind
    """mono: one language; mixed: each row in one language; cross: two languages in every row."""
    languages: tuple[str, ...]
    """Sorted codes of the languages that occur."""
    queries: Int64
    """int64[B], query entries; no two of one group."""
    answers: Int64
    """int64[B], answer entries."""


class BatchPlan:
    """Which rows every step trains on.

    `batch(step)` depends on the arguments of the constructor and the step alone: not on earlier calls,
    nor on the number of ranks. A step's category (language, or cross-lingual, or pair) is drawn by its
    probability; the rows by `rooms.Rooms`: without replacement per epoch of each stream (category and
    query language, and source where sources are weighted), and no group twice in a batch. Rows of two
    epochs can alternate within a room.

    Memory beyond the index: about 6 bytes a query entry (see `usable.UsableRows`), 4 for each entry of a
    stream that leaves some queries of its language out, and a fixed amount of remembered rooms.

    Raises ConfigError where the data can not give such batches.
    """

    def __init__(
        self,
        index: PlanIndex,
        sampling: SamplingConfig,
        global_batch_size: int,
        seed: int,
        source_weights: tuple[float, ...] | None = None,
    ) -> None:
        """source_weights: one a source, by its position in data.sources; None: in proportion to size."""
        if source_weights is not None and index.query_source.max(initial=-1) >= len(source_weights):
            raise ValueError(f"{len(source_weights)} source weights for more sources than that")
        self.index = index
        self.global_batch_size = global_batch_size
        self._seed = seed
        self._rows = UsableRows(index, _selected(index, sampling))
        streams = Streams(self._rows, by_source=source_weights is not None)
        self.categories = build_categories(streams, sampling, source_weights)
        self._passage_weights = passage_weights(streams, sampling)
        self._rooms = [self._furnish(category, streams) for category in self.categories]
        probabilities = np.array([category.probability for category in self.categories])
        self._steps = MultinomialSeries(fold(seed, "categories"), probabilities, trials=1)
        self._remembered: OrderedDict[tuple[int, int], Int64] = OrderedDict()

    def batch(self, step: int) -> GlobalBatch:
        """The global batch of a step, from 0; in milliseconds for any step."""
        if step < 0:
            raise ValueError(f"step {step} is negative")
        before, drawn = self._steps.window(step)
        number = int(drawn.argmax())
        occasion = int(before[number])
        category, rooms = self.categories[number], self._rooms[number]
        room, place = divmod(occasion, rooms.size.batches)
        queries = self._composed(number, room)[place].copy()
        languages = self._passage_languages(category, queries, occasion)
        answers = self.index.answers_in(queries, languages)
        occurring = np.union1d(self.index.query_language[queries], languages)
        codes = tuple(self.index.languages[language] for language in occurring)
        return GlobalBatch(step, category.kind, codes, queries, answers)

    def digest(self, step: int) -> str:
        """16 hex digits of a batch's rows: saved with checkpoints, so that a resume notices another order.

        numpy does not promise the same draws in every version.
        """
        batch = self.batch(step)
        rows = np.stack([batch.queries, batch.answers]).astype("<i8").tobytes()
        return hashlib.blake2b(rows, digest_size=8).hexdigest()

    def _furnish(self, category: Category, streams: Streams) -> Rooms:
        crowd = crowding(streams, category)
        code = self.index.languages[crowd.language]
        size = room_size(category, crowd, self.global_batch_size, code)
        return Rooms(category, streams, size, self.global_batch_size, self._seed)

    def _composed(self, number: int, room: int) -> Int64:
        """int64[R, B]; the rooms used last are remembered."""
        if (number, room) not in self._remembered:
            self._remembered[number, room] = self._rooms[number].compose(room)
        self._remembered.move_to_end((number, room))
        rows = sum(queries.size for queries in self._remembered.values())
        while rows > _REMEMBERED_ROWS and len(self._remembered) > 1:
            rows -= self._remembered.popitem(last=False)[1].size
        return self._remembered[number, room]

    def _passage_languages(self, category: Category, queries: Int64, occasion: int) -> Int64:
        """int64[B]: the language of each row's passages."""
        if category.kind != "cross":
            return self.index.query_language[queries].astype(np.int64)
        passage = category.streams[0].passage
        if passage is not None:
            return np.full(len(queries), passage, dtype=np.int64)
        weights = self._rows.languages_abroad(queries) * self._passage_weights
        cumulative = np.cumsum(weights, axis=1)
        draw = uniform(fold(self._seed, "passage", category.label, occasion), len(queries))
        # a draw just below 1 may round up to the total: the last language with weight then
        reached = (cumulative <= (draw * cumulative[:, -1])[:, None]).sum(axis=1)
        last = len(self.index.languages) - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
        return np.asarray(np.minimum(reached, last), dtype=np.int64)


def _selected(index: PlanIndex, sampling: SamplingConfig) -> npt.NDArray[np.bool_]:
    """bool[L]: the languages that take part."""
    wanted = index.languages if sampling.languages is None else sampling.languages
    for code in wanted:
        if code not in index.languages:
            raise ConfigError(
                "sampling.languages",
                f"the data has no {code}, only {', '.join(index.languages)}",
                f"leave {code} out or add such data",
            )
    if sampling.strategy == "en_en":
        if "en" not in index.languages:
            raise ConfigError(
                "sampling.strategy",
                f"en_en needs English, the data has only {', '.join(index.languages) or 'no language'}",
                "choose another strategy or add English data",
            )
        wanted = ("en",)
    return np.array([code in wanted for code in index.languages], dtype=bool)
