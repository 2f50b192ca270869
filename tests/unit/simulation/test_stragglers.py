"""The slowest rank under the two ways of dealing."""

import numpy as np
import pytest

from distributed_hbt.simulation import stragglers
from distributed_hbt.simulation.stragglers import slowdowns

UNEVEN = np.random.default_rng(0).lognormal(4.5, 0.8, 500).astype(np.int32) + 1
QUERIES = np.random.default_rng(1).integers(5, 30, 500).astype(np.int32)


def test_texts_of_one_length_make_nobody_wait() -> None:
    """A slowdown that the arithmetic brings in by itself."""
    same = np.full(10, 7, np.int32)
    for dealing in ("balanced", "random"):
        found = slowdowns(same, same, ranks=4, rows=32, dealing=dealing, batches=3, seed=0)  # type: ignore[arg-type]
        assert found.tolist() == [1.0, 1.0, 1.0]


def test_dealing_by_tokens_beats_dealing_as_they_come() -> None:
    """The balancing left out: every rank would wait for the one with the long texts."""
    options = {"ranks": 16, "rows": 256, "batches": 20, "seed": 0}
    balanced = slowdowns(QUERIES, UNEVEN, dealing="balanced", **options)  # type: ignore[arg-type]
    random = slowdowns(QUERIES, UNEVEN, dealing="random", **options)  # type: ignore[arg-type]
    assert balanced.mean() < 1.05 < 1.2 < random.mean()
    assert (balanced >= 1.0).all()


def test_every_token_is_dealt_once() -> None:
    """Passages left out of the ranks' shares, or counted on two of them."""
    query_B, passage_B = QUERIES[:64], UNEVEN[:64]
    for deal in (stragglers._balanced, stragglers._as_they_come):
        tokens_R = deal(query_B, passage_B, 8)
        assert tokens_R.shape == (8,)
        assert tokens_R.sum() == query_B.sum() + passage_B.sum()


def test_as_they_come_is_as_by_hand() -> None:
    """Ranks of two rows each: 1+2 and 10+20 tokens, 3+4 and 30+40."""
    tokens_R = stragglers._as_they_come(
        np.array([1, 2, 3, 4], np.int32), np.array([10, 20, 30, 40], np.int32), 2
    )
    assert tokens_R.tolist() == [33.0, 77.0]


def test_rows_that_do_not_divide_are_refused() -> None:
    """A rank without rows."""
    with pytest.raises(ValueError, match="9 rows can not be dealt evenly to 2 ranks"):
        slowdowns(QUERIES, UNEVEN, ranks=2, rows=9, dealing="random", batches=1, seed=0)


def test_a_seed_decides_the_batches() -> None:
    """Two ways of dealing compared on different batches."""
    options = {"ranks": 8, "rows": 64, "dealing": "random", "batches": 4}
    one, same, other = (slowdowns(QUERIES, UNEVEN, seed=seed, **options) for seed in (5, 5, 6))  # type: ignore[arg-type]
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()
