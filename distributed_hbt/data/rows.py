"""The rows of a global batch: queries with their passages, in numbers of the store."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed_hbt.data.plan.batch_plan import GlobalBatch
from distributed_hbt.data.store import Store

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]

_PICK_PASSAGES = 0x70617373  # keeps the draws of passages apart from those of the plan


@dataclass(frozen=True, eq=False)
class Rows:
    """B rows of P passages at most: the positive first, then hard negatives.

    query_B and group_B; passage_BP, -1 where a row has fewer; score_BP are a reranker's, NaN where the data
    has none.
    """

    query_B: Int64
    group_B: Int64
    passage_BP: Int64
    score_BP: Float32

    def __len__(self) -> int:
        return len(self.query_B)

    def at(self, positions: Int64) -> "Rows":
        """Some of the rows."""
        return Rows(
            self.query_B[positions],
            self.group_B[positions],
            self.passage_BP[positions],
            self.score_BP[positions],
        )


def draw_rows(store: Store, batch: GlobalBatch, *, seed: int, num_hard_negatives: int) -> Rows:
    """The rows of a batch; of more positives or hard negatives than are wanted, some are drawn."""
    draws = np.random.Generator(np.random.Philox(key=[seed, _PICK_PASSAGES + (batch.step << 32)]))
    passage_BP = np.full((len(batch.queries), 1 + num_hard_negatives), -1, dtype=np.int64)
    score_BP = np.full(passage_BP.shape, np.nan, dtype=np.float32)
    for row, answer in enumerate(batch.answers.tolist()):
        positives, negatives = store.positives(answer), store.negatives(answer)
        positive = _some(len(positives), 1, draws)
        chosen = _some(len(negatives), num_hard_negatives, draws)
        passage_BP[row, 0] = positives[positive][0]
        passage_BP[row, 1 : 1 + len(chosen)] = negatives[chosen]
        score_BP[row, 0] = store.positive_scores(answer)[positive][0]
        score_BP[row, 1 : 1 + len(chosen)] = store.negative_scores(answer)[chosen]
    return Rows(batch.queries, store.index.query_group[batch.queries], passage_BP, score_BP)


def _some(available: int, wanted: int, draws: np.random.Generator) -> Int64:
    """Positions of the drawn ones, ascending; all where there are no more than wanted."""
    if available <= wanted:
        return np.arange(available)
    return np.sort(draws.choice(available, size=wanted, replace=False))
