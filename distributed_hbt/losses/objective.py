"""The training objective of a rank: InfoNCE, optionally symmetric, optionally at several dimensions."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from distributed_hbt.losses.info_nce import Columns, info_nce


@dataclass(frozen=True)
class Objective:
    """What is added up. `dimensions` are Matryoshka prefixes (arXiv 2205.13147), the full length left out."""

    temperature: float
    symmetric: bool
    dimensions: tuple[int, ...]
    normalize: bool
    block_size: int


@dataclass(frozen=True)
class GlobalEmbeddings:
    """This rank's queries and positives, and every rank's passages (and queries, where symmetric).

    local_query_BD, local_positive_BD; passage_ND; query_MD is None unless the loss is symmetric.
    """

    local_query_BD: Tensor
    local_positive_BD: Tensor
    passage_ND: Tensor
    query_MD: Tensor | None


def contrastive_loss(
    embeddings: GlobalEmbeddings, passages: Columns, queries: Columns | None, objective: Objective
) -> Tensor:
    """Mean over this rank's rows, a scalar; Matryoshka prefixes are summed with weight 1 each."""
    full = embeddings.local_query_BD.shape[1]
    losses = [
        _at_dimension(embeddings, passages, queries, objective, dimension)
        for dimension in (full, *(d for d in objective.dimensions if d != full))
    ]
    return sum(losses[1:], start=losses[0])


def _at_dimension(
    embeddings: GlobalEmbeddings,
    passages: Columns,
    queries: Columns | None,
    objective: Objective,
    dimension: int,
) -> Tensor:
    def prefix(embedding_ND: Tensor) -> Tensor:
        if dimension == embedding_ND.shape[1]:
            return embedding_ND
        cut = embedding_ND[:, :dimension]
        return F.normalize(cut, dim=1) if objective.normalize else cut

    def direction(anchor_BD: Tensor, other_ND: Tensor, columns: Columns) -> Tensor:
        return info_nce(
            prefix(anchor_BD),
            prefix(other_ND),
            columns,
            temperature=objective.temperature,
            block_size=objective.block_size,
        ).mean()

    loss = direction(embeddings.local_query_BD, embeddings.passage_ND, passages)
    if not objective.symmetric:
        return loss
    assert embeddings.query_MD is not None
    assert queries is not None
    return (loss + direction(embeddings.local_positive_BD, embeddings.query_MD, queries)) / 2
