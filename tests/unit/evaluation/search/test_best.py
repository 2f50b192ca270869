"""The best passages kept."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from distributed_hbt.evaluation.search.best import Best


@given(
    merges=st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2)), max_size=40), max_size=5),
    k=st.integers(1, 12),
    most=st.integers(1, 9),
    seed=st.integers(0, 100),
)
def test_merges_keep_the_best_in_order(
    merges: list[list[tuple[int, int]]], k: int, most: int, seed: int
) -> None:
    """Ties settled by arrival, rows mixed up, or passages beyond `most` lost."""
    best = Best(4, k, most)
    rng = np.random.default_rng(seed)
    keys = iter(rng.permutation(1_000).tolist())
    seen: list[list[tuple[float, int]]] = [[] for _ in range(4)]
    for pairs in merges:
        found = sorted((row, float(score), next(keys)) for row, score in pairs)
        rng.shuffle(found)
        found.sort(key=lambda one: one[0])
        rows, scores, numbers = zip(*found, strict=True) if found else ((), (), ())
        best.merge(np.array(rows, np.int64), np.array(scores, np.float32), np.array(numbers, np.int64))
        for row, score, key in found:
            seen[row].append((-score, key))
    for row in range(4):
        expected = sorted(seen[row])[:k]
        kept = list(zip((-best.score_RW[row]).tolist(), best.key_RW[row].tolist(), strict=True))
        assert kept[: len(expected)] == expected
        assert all(score == np.inf for score, _ in kept[len(expected) :])
        assert best.limits()[row] == (-expected[-1][0] if len(expected) == k else -np.inf)
