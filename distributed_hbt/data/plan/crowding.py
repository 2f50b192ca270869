"""How often one group must come up, and so how many batches have to be dealt together."""

import math
from dataclasses import dataclass

import numpy as np

from distributed_hbt.data.plan.categories import Category
from distributed_hbt.data.plan.streams import Streams
from distributed_hbt.errors import ConfigError

MAX_ROOM_ROWS = 1 << 17
MIN_CAP, MAX_CAP = 8, 1024
"""A room may have MAX_ROOM_ROWS, but MIN_CAP batches however large they are, and MAX_CAP at most."""
_DEVIATIONS = 6.0
"""Standard deviations above its mean that a group's count in a room may reach before it is repaired."""
_SCATTER_FLOOR = 8.0
"""A count of a small mean has a longer tail than its deviation says."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Crowding:
    """A category's groups, and the most that any of them has."""

    num_groups: int
    max_rows_of_group: int
    rate: float
    """Expected rows of a group per row that is drawn."""
    variance: float
    """Variance of a group's expected rows per row that is drawn, given how many rows each stream gives."""
    language: int
    """Query language that the most frequent group mostly comes from."""


@dataclass(frozen=True)
class RoomSize:
    """`batches` of a category are dealt together; `reshuffled`: each epoch has an order of its own."""

    batches: int
    reshuffled: bool


def crowding(streams: Streams, category: Category) -> Crowding:
    """Counts the groups of a category; time and transient memory linear in rows and groups."""
    num_groups = streams.rows.index.num_groups
    rate, square = np.zeros(num_groups), np.zeros(num_groups)
    rows = np.zeros(num_groups, dtype=np.int64)
    for stream, share in zip(category.streams, category.shares, strict=True):
        of_stream = np.bincount(streams.groups(stream), minlength=num_groups)
        rows += of_stream
        rate += share * (of_stream / stream.size)
        square += share * (of_stream / stream.size) ** 2
    worst = int(rate.argmax())
    contributions = [
        share / stream.size * int((streams.groups(stream) == worst).sum())
        for stream, share in zip(category.streams, category.shares, strict=True)
    ]
    language = category.streams[int(np.argmax(contributions))].language
    variance = max(0.0, float((square - rate**2).max()))
    return Crowding(int(np.count_nonzero(rows)), int(rows.max()), float(rate[worst]), variance, language)


def room_size(category: Category, crowd: Crowding, batch_size: int, language: str) -> RoomSize:
    """How many batches of a category are dealt together so that no batch needs a group twice.

    A room of R batches can be dealt if no group comes more than R times in it. Two bounds on the count
    of a group with M rows, of which a batch expects `load`, and the smaller R is taken:
    - over windows: a stream's window holds an entry at most twice more than expected, and what is
      expected varies with the rows that each stream gives: R * load + 6 deviations + 2M. Without
      variance (one stream; parallel languages) this is a guarantee.
    - by scatter: a count scatters at most like a Poisson variable: R * load + 6 deviations + 8.
    What still comes too often is repaired (see `rooms`). A single stream of whole batches, one row a
    group, needs no rooms. One that is barely larger than a batch, so that R would be huge, keeps one
    order in all epochs: any B consecutive rows of it differ.

    language: code of `crowd.language`. Raises ConfigError where no R can be enough.
    """
    _refuse_impossible(category, crowd, batch_size, language)
    cap = min(max(MIN_CAP, MAX_ROOM_ROWS // batch_size), MAX_CAP)
    load = batch_size * crowd.rate
    needed = min(
        _smallest_room(load, batch_size * crowd.variance, 2 * crowd.max_rows_of_group),
        _smallest_room(load, load, _SCATTER_FLOOR),
    )
    if len(category.streams) == 1 and crowd.max_rows_of_group == 1:
        if category.streams[0].size % batch_size == 0:
            return RoomSize(1, reshuffled=True)
        if needed > cap:
            return RoomSize(1, reshuffled=False)
    return RoomSize(math.ceil(min(needed, cap)), reshuffled=True)


def _smallest_room(load: float, variance: float, constant: float) -> float:
    """Smallest R with R >= load * R + 6 * sqrt(variance * R) + constant."""
    spare = 1 - load
    if spare < _ROUNDING:
        return math.inf
    scatter = _DEVIATIONS * math.sqrt(variance)
    root = (scatter + math.sqrt(scatter**2 + 4 * spare * constant)) / (2 * spare)
    return root**2


def _refuse_impossible(category: Category, crowd: Crowding, batch_size: int, language: str) -> None:
    where = "train.global_batch_size"
    if crowd.num_groups < batch_size:
        raise ConfigError(
            where,
            f"{batch_size} is larger than the data: {_described(category, language)} has"
            f" {crowd.num_groups} distinct groups",
            f"use at most {crowd.num_groups}, or leave the language out of sampling.languages",
        )
    load = batch_size * crowd.rate
    if load > 1 + _ROUNDING:
        raise ConfigError(
            where,
            f"{batch_size} is larger than the data: {_described(category, language)} would need a group of"
            f" query language {language} {load:.2f} times in a batch, on average",
            f"use at most {int(1 / crowd.rate + _ROUNDING)}, or draw its rows less often"
            " (sampling.language_distribution, sampling.languages, weights of sources)",
        )


def _described(category: Category, language: str) -> str:
    if category.kind == "mono":
        return f"language {language}"
    name = category.label.removeprefix("cross:")
    return f"the pair {name} (query-passage)" if name != category.label else f"{category.kind} sampling"
