"""Epochs: every entry of a stream comes once before any comes twice, to within a room."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.errors import ConfigError


def drawn_after(rooms, number: int) -> np.ndarray:
    """int64[number * R * B]: queries of a category's first rooms."""
    return np.concatenate([rooms.compose(room).ravel() for room in range(number)])


@pytest.mark.parametrize(("groups", "batch_size"), [(60, 10), (64, 64), (65, 64), (100, 64), (997, 30)])
def test_one_language_is_covered_exactly_by_every_epoch(parallel_index, groups, batch_size):
    """Repairs, or rooms cut at the wrong place, would repeat some rows and starve others."""
    plan = BatchPlan(parallel_index(groups, "en"), SamplingConfig(strategy="en_en"), batch_size, seed=2)
    (rooms,) = plan._rooms
    for number in range(1, 12):
        counts = np.bincount(drawn_after(rooms, number), minlength=groups)
        assert counts.max() - counts.min() <= 1


def test_epochs_of_whole_batches_are_exact_step_by_step(parallel_index):
    """Where batches divide the data, size / batch steps see every row once; then comes another order."""
    plan = BatchPlan(parallel_index(60, "en"), SamplingConfig(strategy="en_en"), 12, seed=2)
    epochs = [np.concatenate([plan.batch(5 * e + i).queries for i in range(5)]) for e in range(6)]
    for queries in epochs:
        assert np.array_equal(np.sort(queries), np.arange(60))
    assert len({tuple(sorted(queries[:12])) for queries in epochs}) == 6


@settings(max_examples=25, deadline=None)
@given(
    layout=st.integers(0, 2**32 - 1),
    strategy=st.sampled_from(["x_x", "x_y", "hybrid"]),
    pairs=st.sampled_from(["mixed", "single_pair"]),
    weights=st.sampled_from([None, (1.0, 1.5, 0.8)]),
    batch_size=st.integers(2, 8),
)
def test_streams_are_covered_evenly_where_batches_are_small(
    ragged_index, layout, strategy, pairs, weights, batch_size
):
    """Without replacement holds per stream also where languages and sources are mixed."""
    index = ragged_index(layout, 120)
    config = SamplingConfig(strategy=strategy, cross_batches=pairs, language_distribution="proportional")
    try:
        plan = BatchPlan(index, config, batch_size, 7, weights)
    except ConfigError:
        assume(False)
    for category, rooms in zip(plan.categories, plan._rooms, strict=True):
        counts = np.bincount(drawn_after(rooms, 12), minlength=index.num_queries)
        covered = 0
        for stream in category.streams:
            of_stream = counts[rooms._streams.entries(stream)]
            assert of_stream.max() - of_stream.min() <= 1
            covered += of_stream.sum()
        assert covered == counts.sum() == 12 * rooms.size.batches * batch_size


@pytest.mark.parametrize("strategy", ["x_x", "x_y"])
def test_parallel_groups_are_covered_exactly_at_a_quarter_of_the_data(parallel_index, strategy):
    """The usual small case (a few hundred parallel questions) needs no repair."""
    index = parallel_index(256, "ar de en es ru")
    plan = BatchPlan(index, SamplingConfig(strategy=strategy), 64, seed=4)
    (rooms,) = plan._rooms
    counts = np.bincount(drawn_after(rooms, 5), minlength=index.num_queries)
    for language in range(5):
        of_language = counts[index.query_language == language]
        assert of_language.max() - of_language.min() <= 1


def test_nearly_full_parallel_batches_are_still_exact(parallel_index):
    """Rooms sized as if the languages' windows were random would need repairs, or thousands of batches."""
    index = parallel_index(34)
    plan = BatchPlan(index, SamplingConfig(strategy="x_x"), 32, seed=4)
    (rooms,) = plan._rooms
    assert rooms.size.batches == 102  # 2 * 3 rows / (1 - 32 / 34)
    counts = np.bincount(drawn_after(rooms, 6), minlength=index.num_queries)
    for language in range(3):
        of_language = counts[index.query_language == language]
        assert of_language.max() - of_language.min() <= 1


def test_repaired_rooms_keep_everything_coming(parallel_index):
    """32 of 32 groups in every batch: independent windows can not fit, and no row may starve."""
    index = parallel_index(32)
    plan = BatchPlan(index, SamplingConfig(strategy="x_x"), 32, seed=4)
    (rooms,) = plan._rooms
    for room in range(2):
        groups = np.sort(index.query_group[rooms.compose(room)], axis=1)
        assert np.array_equal(groups, np.tile(np.arange(32), (rooms.size.batches, 1)))
    queries = np.concatenate([plan.batch(step).queries for step in range(600)])
    counts = np.bincount(queries, minlength=index.num_queries)
    assert counts.sum() == 600 * 32
    assert counts.min() > 0.75 * counts.mean()
    assert counts.max() < 1.25 * counts.mean()


def test_a_group_occurs_all_over_its_room(parallel_index):
    """Dealt in order of group, a group would come in neighbouring steps and then stay away for long."""
    index = parallel_index(64)
    plan = BatchPlan(index, SamplingConfig(strategy="x_x"), 32, seed=4)
    (rooms,) = plan._rooms
    groups = np.sort(index.query_group[rooms.compose(0)], axis=1)
    shared = [len(np.intersect1d(a, b)) for a, b in pairwise(groups)]
    assert rooms.size.batches == 12
    assert np.mean(shared) < 20


def test_barely_sufficient_languages_keep_one_order(parallel_index):
    """65536 rows of 65537 would need rooms of 8 billion rows; any B rows of one fixed order differ."""
    plan = BatchPlan(parallel_index(4097, "en"), SamplingConfig(strategy="en_en"), 4096, seed=2)
    (rooms,) = plan._rooms
    assert (rooms.size.batches, rooms.size.reshuffled) == (1, False)
    counts = np.bincount(drawn_after(rooms, 9), minlength=4097)
    assert sorted(np.unique(counts).tolist()) == [8, 9]
    assert all(len(np.unique(rooms.compose(room))) == 4096 for room in range(9))
