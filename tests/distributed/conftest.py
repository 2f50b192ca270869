"""One pool of ranks per world size for the whole session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import write_run


@pytest.fixture(scope="session")
def pools() -> Iterator[dict[int, RankPool]]:
    """Pools of 1, 2 and 4 ranks, started when first asked for."""
    started: dict[int, RankPool] = _Pools()
    yield started
    for pool in started.values():
        pool.close()


class _Pools(dict[int, RankPool]):
    def __missing__(self, world_size: int) -> RankPool:
        self[world_size] = RankPool(world_size)
        return self[world_size]


@pytest.fixture(scope="session")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run whose data has three languages, shared passages, several positives, hard negatives."""
    return write_run(tmp_path_factory.mktemp("run"))
