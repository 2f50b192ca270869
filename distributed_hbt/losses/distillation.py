"""Knowledge distillation: a row's own passages scored as a reranker scores them.

    KL(p || q) = sum_k p_k (log p_k - log q_k),   p = softmax(reranker / T),  q = softmax(s / temperature)

over the passages k of a row that have a reranker's score (Hinton et al., arXiv 1503.02531; for retrievers
RocketQAv2, arXiv 2110.07367).
"""

import torch
from torch import Tensor


def distillation(
    query_BD: Tensor,
    passage_ND: Tensor,
    own_BP: Tensor,
    score_BP: Tensor,
    *,
    temperature: float,
    teacher_temperature: float,
) -> Tensor:
    """Divergence of every row, [B] float32; 0 for a row that has fewer than two scored passages.

    own_BP: columns of the row's passages, -1 for none. score_BP: the reranker's, NaN for none.
    """
    dtype = torch.promote_types(query_BD.dtype, torch.float32)
    own_BPD = passage_ND[own_BP.clamp(min=0)].to(dtype)
    student_BP = torch.einsum("bd,bpd->bp", query_BD.to(dtype), own_BPD) / temperature
    scored_BP = (own_BP >= 0) & ~score_BP.isnan()
    teacher_BP = (score_BP.to(dtype) / teacher_temperature).nan_to_num()
    log_q_BP = _log_softmax(student_BP, scored_BP)
    log_p_BP = _log_softmax(teacher_BP, scored_BP)
    divergence_BP = log_p_BP.exp() * (log_p_BP - log_q_BP)
    counted_BP = scored_BP & (scored_BP.sum(1, keepdim=True) > 1)
    return torch.where(counted_BP, divergence_BP, 0.0).sum(1)


def _log_softmax(value_BP: Tensor, scored_BP: Tensor) -> Tensor:
    """Over the scored ones; any finite number elsewhere, so that no gradient is NaN."""
    lowest = torch.finfo(value_BP.dtype).min / 4
    return torch.log_softmax(value_BP.masked_fill(~scored_BP, lowest), dim=1)
