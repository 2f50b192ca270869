"""The one gather, on real ranks."""

import pytest

from tests.distributed.ranks import RankPool


@pytest.mark.parametrize("counts", [(2, 2), (1, 3), (3, 0)])
def test_gather_concatenates_and_sums_every_rank_s_gradient(
    pools: dict[int, RankPool], counts: tuple[int, int]
) -> None:
    """Padding rows that leak into the result, or a backward that forgets what other ranks say."""
    answers = pools[2].run("gathered_and_gradient", counts)
    rows = [[rank * 100.0 + i, -1.0] for rank in range(2) for i in range(counts[rank])]
    gradient = [[3.0 * (n + 1)] * 2 for n in range(len(rows))]  # (rank 0: 1) + (rank 1: 2)
    for rank, (gathered, grad) in enumerate(answers):
        first = sum(counts[:rank])
        assert gathered == rows
        assert grad == gradient[first : first + counts[rank]]
