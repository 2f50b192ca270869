"""What the search of codes loses against exact search, as it was measured on some of the queries."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class CodesLoss:
    """At one depth, over `num_queries` queries.

    `recall` is the mean share of the exact top `depth` that was found, `lowest_recall` that of the query
    that fared worst. `mean_score_loss` and `largest_score_loss` say by how much the score at the last rank
    is lower than in exact search.
    """

    depth: int
    num_queries: int
    recall: float
    lowest_recall: float
    mean_score_loss: float
    largest_score_loss: float

    @classmethod
    def of_query(
        cls,
        depth: int,
        exact: Sequence[tuple[Hashable, float]],
        found: Sequence[tuple[Hashable, float]],
    ) -> "CodesLoss":
        """From (document, score) of one query, best first, of exact search and of the codes'.

        Both are cut at `depth`; a corpus may have fewer documents, but at least one.
        """
        best, others = exact[:depth], found[:depth]
        kept = {document for document, _ in others}
        recall = sum(document in kept for document, _ in best) / len(best)
        loss = max(0.0, float(best[-1][1]) - float(others[-1][1]))
        return cls(depth, 1, recall, recall, loss, loss)

    def __str__(self) -> str:
        return (
            f"recall of the exact top {self.depth}: {_rounded_down(self.recall)} over "
            f"{self.num_queries} queries (lowest {_rounded_down(self.lowest_recall)}); score at the last "
            f"rank lower by {self.mean_score_loss:.2g} on average, {self.largest_score_loss:.2g} at most"
        )


def merge_losses(losses: Iterable[CodesLoss]) -> CodesLoss:
    """Over the queries of all of them, which have one depth; at least one."""
    parts = list(losses)
    assert len({part.depth for part in parts}) == 1, "losses at different depths, or none"
    counts = [part.num_queries for part in parts]
    return CodesLoss(
        parts[0].depth,
        sum(counts),
        float(np.average([part.recall for part in parts], weights=counts)),
        min(part.lowest_recall for part in parts),
        float(np.average([part.mean_score_loss for part in parts], weights=counts)),
        max(part.largest_score_loss for part in parts),
    )


def evenly_chosen(num_queries: int, at_most: int) -> tuple[int, ...]:
    """Positions of the queries that are measured: spread over all of them, distinct, ascending."""
    count = min(num_queries, at_most)
    return tuple(position * num_queries // count for position in range(count))


def _rounded_down(share: float) -> str:
    """Three digits, and never 1 for less."""
    return f"{np.floor(share * 1000 + 1e-9) / 1000:.3f}"
