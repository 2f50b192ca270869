"""How many ranks a run may have, and how many some nodes can hold."""

from typing import Any

import pytest

from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.coordinator.capacity import Node
from distributed_hbt.coordinator.sizes import first_size, sizes_held, usable_sizes
from distributed_hbt.errors import ConfigError


def run(batch: int, *benchmarks: dict[str, Any], **cluster: Any) -> RunConfig:
    return validate(
        {
            "name": "t",
            "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 400}}},
            "data": {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]},
            "train": {"global_batch_size": batch},
            "evaluation": {"benchmarks": list(benchmarks)},
            "cluster": cluster,
        }
    )


def test_only_sizes_within_the_bounds_that_share_the_batch_evenly_are_usable() -> None:
    """A rank with more rows than others; bounds that are left out by one; a run of fixed size that grows."""
    assert usable_sizes(run(24, num_workers=4, min_workers=2, max_workers=9)) == (2, 3, 4, 6, 8)
    assert usable_sizes(run(24, num_workers=4)) == (4,)
    assert usable_sizes(run(24, num_workers=4, min_workers=1)) == (1, 2, 3, 4)


def test_no_usable_size_is_refused_in_one_line() -> None:
    """A run that waits for room for a number of ranks that it can never have."""
    with pytest.raises(ConfigError) as fixed:
        usable_sizes(run(8, num_workers=3))
    assert "8 rows can not be shared evenly by 3 ranks; make it a multiple" in str(fixed.value)
    with pytest.raises(ConfigError) as elastic:
        usable_sizes(run(8, num_workers=6, min_workers=5, max_workers=7))
    assert "8 rows can not be shared evenly by any number of ranks from 5 to 7;" in str(elastic.value)


@pytest.mark.parametrize(("workers", "first"), [(4, 4), (5, 4), (8, 8)])
def test_start_is_as_near_to_the_wish_as_the_batch_allows(workers: int, first: int) -> None:
    """A start with all that the cluster has where less was asked for."""
    assert first_size(run(8, num_workers=workers, min_workers=1, max_workers=8)) == first
    assert first_size(run(8, num_workers=3, min_workers=3, max_workers=8)) == 4


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"num_workers": 2, "min_workers": 3}, "min_workers 3 is above num_workers 2"),
        ({"num_workers": 2, "max_workers": 1}, "max_workers 1 is below num_workers 2"),
    ],
)
def test_bounds_that_leave_out_the_number_are_refused(cluster: dict[str, int], message: str) -> None:
    """A run that is larger than its upper bound."""
    with pytest.raises(ConfigError, match=f"cluster: {message}; "):
        run(8, **cluster)


def test_evaluation_keeps_its_room() -> None:
    """Ranks that starve the evaluation for the rest of the run."""
    config = run(8, num_workers=8, min_workers=1, gpus_per_worker=1, evaluation_actors=1)
    nodes = [Node(16, 4)]
    assert sizes_held(config, (1, 2, 4, 8), nodes, evaluates=True) == [2, 1]
    assert sizes_held(config, (1, 2, 4, 8), nodes, evaluates=False) == [4, 2, 1]
    assert sizes_held(config, (4, 8), nodes, evaluates=True) == []
    assert sizes_held(config, (4, 8), nodes, evaluates=False) == [4]


def test_rank_does_not_span_nodes() -> None:
    """Two halves of a GPU pair on two nodes, counted as one rank's."""
    config = run(8, num_workers=4, min_workers=1, gpus_per_worker=2)
    assert sizes_held(config, (1, 2, 4), [Node(8, 3), Node(8, 3)], evaluates=False) == [2, 1]
