"""Small plan indexes, made of tuples."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest

from distributed_hbt.data.plan.index import PlanIndex

BuildIndex = Callable[..., PlanIndex]


def _build(
    queries: Iterable[tuple[int, str, int, int]],
    answers: Iterable[tuple[int, str, int]],
    languages: Iterable[str] | None = None,
) -> PlanIndex:
    """queries: (group, language, source, key); answers: (group, language, key)."""
    queries, answers = list(queries), sorted(answers)
    codes = tuple(sorted(languages or {row[1] for row in [*queries, *answers]}))
    number = {code: position for position, code in enumerate(codes)}
    return PlanIndex(
        languages=codes,
        num_groups=1 + max((row[0] for row in [*queries, *answers]), default=-1),
        query_group=np.array([row[0] for row in queries], dtype=np.int64),
        query_language=np.array([number[row[1]] for row in queries], dtype=np.int16),
        query_source=np.array([row[2] for row in queries], dtype=np.int16),
        query_key=np.array([row[3] for row in queries], dtype=np.uint64),
        answer_group=np.array([row[0] for row in answers], dtype=np.int64),
        answer_language=np.array([number[row[1]] for row in answers], dtype=np.int16),
        answer_key=np.array([row[2] for row in answers], dtype=np.uint64),
    )


@pytest.fixture(scope="session")
def build_index() -> BuildIndex:
    """An index of (group, language, source, key) queries and (group, language, key) answers."""
    return _build


@pytest.fixture(scope="session")
def parallel_index() -> BuildIndex:
    """An index of `groups` groups, each with a query and an answer in every language."""

    def build(groups: int, languages: str = "ar de en", source: int = 0) -> PlanIndex:
        pairs = [(group, code) for group in range(groups) for code in languages.split()]
        return _build(
            [(group, code, source, 2 * row) for row, (group, code) in enumerate(pairs)],
            [(group, code, 2 * row + 1) for row, (group, code) in enumerate(pairs)],
        )

    return build


@pytest.fixture(scope="session")
def ragged_index() -> BuildIndex:
    """A random index: groups lack languages, have several queries in one, several sources, equal keys."""

    def build(layout: int, groups: int, languages: str = "ar de en") -> PlanIndex:
        random = np.random.default_rng(layout)
        codes = languages.split()
        queries, answers = [], []
        for group in range(groups):
            for code in codes:
                for _ in range(random.choice([0, 1, 1, 1, 2])):
                    queries.append((group, code, int(random.integers(3)), int(random.integers(20))))
                if random.random() < 0.8:
                    answers.append((group, code, int(random.integers(20))))
        return _build(queries, answers, codes)

    return build
