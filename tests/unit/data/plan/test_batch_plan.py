"""Every batch of every strategy: unique groups, right languages, usable rows; a function of seed and step."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.plan.counts import MultinomialSeries
from distributed_hbt.errors import ConfigError

SAMPLINGS = [
    {"strategy": "hybrid", "alpha": 0.5},
    {"strategy": "hybrid", "alpha": 0.3, "cross_batches": "single_pair", "language_distribution": 2.0},
    {"strategy": "x_x_mono", "language_distribution": "proportional"},
    {"strategy": "x_x"},
    {"strategy": "x_y"},
    {"strategy": "x_y", "language_distribution": "proportional"},
    {"strategy": "x_y", "cross_batches": "single_pair", "languages": ("de", "en")},
    {"strategy": "en_en"},
]


def check_rows(index, batch, batch_size) -> None:
    """What holds for every batch whatever the strategy."""
    groups = index.query_group[batch.queries]
    assert batch.queries.shape == batch.answers.shape == (batch_size,)
    assert len(np.unique(groups)) == batch_size
    assert np.array_equal(index.answer_group[batch.answers], groups)
    assert (index.query_key[batch.queries] != index.answer_key[batch.answers]).all()
    asked, answered = index.query_language[batch.queries], index.answer_language[batch.answers]
    occurring = {index.languages[code] for code in [*asked.tolist(), *answered.tolist()]}
    assert batch.languages == tuple(sorted(occurring))
    if batch.kind == "mono":
        assert len(batch.languages) == 1
    assert (asked == answered).all() if batch.kind in ("mono", "mixed") else (asked != answered).all()


@settings(max_examples=60, deadline=None)
@given(
    layout=st.integers(0, 2**32 - 1),
    groups=st.integers(6, 60),
    batch_size=st.integers(2, 12),
    sampling=st.sampled_from(SAMPLINGS),
    weights=st.sampled_from([None, (1.0, 2.0, 0.5)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_batch_repeats_a_group_or_holds_an_unusable_row(
    ragged_index, layout, groups, batch_size, sampling, weights, seed
):
    """Two rows of one group in a batch make a positive a negative; equal keys teach nothing."""
    index = ragged_index(layout, groups)
    try:
        plan = BatchPlan(index, SamplingConfig(**sampling), batch_size, seed, weights)
    except ConfigError:
        assume(False)
    for step in [*range(40), 10**6, 10**9]:
        batch = plan.batch(step)
        check_rows(index, batch, batch_size)
        assert set(batch.languages) <= set(sampling.get("languages", index.languages))
        if sampling["strategy"] == "en_en":
            assert batch.languages == ("en",)
        if batch.kind == "cross" and sampling.get("cross_batches") == "single_pair":
            assert len(np.unique(index.query_language[batch.queries])) == 1
            assert len(np.unique(index.answer_language[batch.answers])) == 1


@pytest.mark.parametrize("strategy", ["x_x", "x_y", "x_x_mono"])
@pytest.mark.parametrize("groups", [16, 17, 20, 31])
def test_groups_are_unique_even_where_a_batch_takes_nearly_all(parallel_index, strategy, groups):
    """Independent windows of the languages' streams collide here in almost every batch."""
    index = parallel_index(groups)
    plan = BatchPlan(index, SamplingConfig(strategy=strategy), 16, seed=3)
    for step in range(200):
        check_rows(index, plan.batch(step), 16)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_batch_depends_on_seed_and_step_alone(parallel_index, sampling):
    """A plan with state gives other batches after a resume, or on a rank that skipped a call."""
    index, config = parallel_index(100), SamplingConfig(**sampling)
    steps = [*range(30), 10**6, 10**6 + 1]
    forward = BatchPlan(index, config, 8, seed=5)
    expected = {step: forward.digest(step) for step in steps}
    shuffled = BatchPlan(index, config, 8, seed=5)
    for step in np.random.default_rng(0).permutation(steps).tolist():
        assert shuffled.digest(step) == expected[step]
        assert BatchPlan(index, config, 8, seed=5).digest(step) == expected[step]
    other = BatchPlan(index, config, 8, seed=6)
    assert sum(other.digest(step) == expected[step] for step in steps) == 0
    assert len(set(expected.values())) == len(steps)


def test_batches_do_not_depend_on_what_is_remembered(parallel_index, monkeypatch):
    """A cache that hands out its own arrays lets a caller change later batches."""
    index = parallel_index(100)
    plan = BatchPlan(index, SamplingConfig(), 8, seed=5)
    expected = plan.digest(0)
    plan.batch(0).queries[:] = 0
    assert plan.digest(0) == expected
    monkeypatch.setattr("distributed_hbt.data.plan.batch_plan._REMEMBERED_ROWS", 0)
    forgetful = BatchPlan(index, SamplingConfig(), 8, seed=5)
    assert [forgetful.digest(step) for step in (7, 0)] == [plan.digest(7), expected]


def test_a_far_step_costs_no_more_draws_than_the_tree_is_deep(parallel_index, monkeypatch):
    """A plan that replays the steps before a resume stalls the job for hours."""
    index = parallel_index(1000)
    draws = []
    generator = MultinomialSeries._generator

    def counted(self, level, node):
        draws.append((level, node))
        return generator(self, level, node)

    monkeypatch.setattr(MultinomialSeries, "_generator", counted)
    for strategy in ("hybrid", "x_x", "x_y"):
        draws.clear()
        check_rows(index, BatchPlan(index, SamplingConfig(strategy=strategy), 64, 13).batch(10**6), 64)
        assert len(draws) <= 64


def test_the_memory_of_a_plan_does_not_grow_with_steps(parallel_index):
    """Rooms and streams that are never forgotten fill the machine in a long run."""
    index = parallel_index(2000)
    plan = BatchPlan(index, SamplingConfig(cross_batches="single_pair"), 512, seed=1)
    for step in range(0, 40_000, 40):
        plan.batch(step)
    assert sum(room.size for room in plan._remembered.values()) <= 1 << 21
    assert len(plan._remembered) > 1


def test_order_is_the_same_on_every_machine(parallel_index):
    """A changed order makes resumed runs differ; then this literal changes, and so must the docs."""
    plan = BatchPlan(parallel_index(50), SamplingConfig(), 8, seed=13)
    assert [plan.digest(step) for step in (0, 1, 1_000_000)] == [
        "97f64d5b99c3d924",
        "cd3aeaad0a96eecd",
        "3b866ac0dba4e527",
    ]
    with pytest.raises(ValueError, match="step -1"):
        plan.batch(-1)
