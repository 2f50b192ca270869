"""The training objective of a rank: InfoNCE, optionally symmetric, distilled, and at several dimensions."""

from dataclasses import dataclass
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from distributed_hbt.losses.distillation import distillation
from distributed_hbt.losses.info_nce import ColumnBlocks, info_nce


@dataclass(frozen=True)
class Distillation:
    """`weight` of the divergence beside InfoNCE's 1; see `losses.distillation` for the temperatures."""

    weight: float
    temperature: float
    teacher_temperature: float


@dataclass(frozen=True)
class Objective:
    """What is added up. `dimensions` are Matryoshka prefixes (arXiv 2205.13147), the full length left out.

    Without `contrastive`, only what a teacher says counts; `teacher_weight` is its weight.
    """

    temperature: float
    symmetric: bool
    dimensions: tuple[int, ...]
    normalize: bool
    distillation: Distillation | None = None
    contrastive: bool = True
    teacher_weight: float = 0.0


@dataclass(frozen=True, eq=False)
class GlobalEmbeddings:
    """This rank's queries, and every rank's passages (and queries, where symmetric).

    local_query_BD; passage_ND; query_MD is None unless the loss is symmetric.
    """

    local_query_BD: Tensor
    passage_ND: Tensor
    query_MD: Tensor | None


class Relations(Protocol):
    """How the rank's rows relate to the columns: `queries` are asked for where the loss is symmetric,
    `own_BP` and `score_BP` where it is distilled."""

    @property
    def passages(self) -> ColumnBlocks: ...
    @property
    def queries(self) -> ColumnBlocks | None: ...
    @property
    def own_BP(self) -> Tensor: ...  # noqa: N802 (a shape suffix)
    @property
    def score_BP(self) -> Tensor: ...  # noqa: N802 (a shape suffix)


def contrastive_loss(embeddings: GlobalEmbeddings, relations: Relations, objective: Objective) -> Tensor:
    """Mean over this rank's rows, a scalar; Matryoshka prefixes are summed with weight 1 each.

    Every rank has equally many rows, so the mean over ranks is that over the global batch, whatever the
    number of ranks.
    """
    full = embeddings.local_query_BD.shape[1]
    losses = [
        _at_dimension(embeddings, relations, objective, dimension)
        for dimension in (full, *(d for d in objective.dimensions if d != full))
    ]
    return sum(losses[1:], start=losses[0])


def _at_dimension(
    embeddings: GlobalEmbeddings, relations: Relations, objective: Objective, dimension: int
) -> Tensor:
    def prefix(embedding_ND: Tensor) -> Tensor:
        if dimension == embedding_ND.shape[1]:
            return embedding_ND
        cut = embedding_ND[:, :dimension]
        return F.normalize(cut, dim=1) if objective.normalize else cut

    query_BD, passage_ND = prefix(embeddings.local_query_BD), prefix(embeddings.passage_ND)
    loss = info_nce(query_BD, passage_ND, relations.passages, temperature=objective.temperature).mean()
    if objective.symmetric:
        assert embeddings.query_MD is not None
        assert relations.queries is not None
        positive_BD = passage_ND[relations.passages.target_B]
        query_MD = prefix(embeddings.query_MD)
        back = info_nce(positive_BD, query_MD, relations.queries, temperature=objective.temperature).mean()
        loss = (loss + back) / 2
    if objective.distillation is not None:
        distilled = objective.distillation
        divergence_B = distillation(
            query_BD,
            passage_ND,
            relations.own_BP,
            relations.score_BP,
            temperature=distilled.temperature,
            teacher_temperature=distilled.teacher_temperature,
        )
        loss = loss + distilled.weight * divergence_B.mean()
    return loss
