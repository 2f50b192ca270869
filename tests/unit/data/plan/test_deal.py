"""The rows of a global batch to the ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.plan.deal import deal
from distributed_hbt.errors import ConfigError


@given(data=st.data(), world_size=st.integers(1, 16), per_rank=st.integers(1, 20))
def test_ranks_together_have_every_row_once_and_equally_many(data, world_size, per_rank):
    """A row lost or doubled between ranks changes the loss without an error."""
    size = world_size * per_rank
    lengths = np.array(data.draw(st.lists(st.integers(1, 512), min_size=size, max_size=size)))
    dealt = deal(lengths, world_size)
    assert [len(positions) for positions in dealt] == [per_rank] * world_size
    assert np.array_equal(np.sort(np.concatenate(dealt)), np.arange(size))
    assert all(np.array_equal(a, b) for a, b in zip(dealt, deal(lengths.copy(), world_size), strict=True))
    tokens = [int(lengths[positions].sum()) for positions in dealt]
    assert max(tokens) - min(tokens) <= lengths.max() - lengths.min()


def test_the_longest_rows_go_to_the_emptiest_ranks():
    """A deal in order of position leaves one rank waiting for the other."""
    dealt = deal(np.array([9, 8, 1, 2, 7, 3]), 2)
    assert [positions.tolist() for positions in dealt] == [[0, 3, 5], [1, 2, 4]]


def test_a_batch_that_does_not_divide_is_refused():
    """Ranks with different numbers of rows wait for each other for ever in a gather."""
    with pytest.raises(
        ConfigError, match=r"train.global_batch_size: 10 rows .* 4 ranks; use a multiple of 4"
    ):
        deal(np.ones(10, np.int64), 4)


@pytest.mark.parametrize("batch_size", [240, 2 * 7 * 9 * 11 * 13])
def test_the_union_over_ranks_is_the_global_batch_for_every_world_size(parallel_index, batch_size):
    """A plan that depends on the world size can not be resumed on other machines."""
    index = parallel_index(20_000, "de en")
    worlds = [size for size in range(1, 17) if batch_size % size == 0]
    assert worlds in ([1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 16], [1, 2, 3, 6, 7, 9, 11, 13, 14])
    for step in (0, 1_000_000):
        unions = set()
        for world_size in worlds:
            batch = BatchPlan(index, SamplingConfig(), batch_size, seed=13).batch(step)
            dealt = deal(1 + batch.queries % 97, world_size)
            queries = np.concatenate([batch.queries[positions] for positions in dealt])
            answers = np.concatenate([batch.answers[positions] for positions in dealt])
            unions.add(frozenset(zip(queries.tolist(), answers.tolist(), strict=True)))
        assert unions == {frozenset(zip(batch.queries.tolist(), batch.answers.tolist(), strict=True))}
        assert len(next(iter(unions))) == batch_size
