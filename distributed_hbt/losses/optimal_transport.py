"""Token states moved onto a teacher's at the least cost (after OPTICAL, arXiv 2301.12566).

    cost_i = sum_lm plan_lm (1 - cos(student_l, teacher_m))

over the tokens l of a text and m of its counterpart, each token with equal weight. The plan is that of the
entropic problem (Cuturi, arXiv 1306.0895): a given number of Sinkhorn iterations on the logarithms. It is
taken as given in the backward, where, at the optimum, its own change adds nothing.
"""

import torch
from torch import Tensor
from torch.nn import functional


def transport_cost(
    student_BLD: Tensor,
    student_mask_BL: Tensor,
    teacher_BMD: Tensor,
    teacher_mask_BM: Tensor,
    *,
    regularisation: float,
    iterations: int,
) -> Tensor:
    """Cost of every text, [B] float32. Masks have 1 on real tokens, at least one a text."""
    dtype = torch.promote_types(student_BLD.dtype, torch.float32)
    student_BLD = functional.normalize(student_BLD.to(dtype), dim=2)
    teacher_BMD = functional.normalize(teacher_BMD.to(dtype), dim=2)
    cost_BLM = 1 - student_BLD @ teacher_BMD.transpose(1, 2)
    plan_BLM = _plan(cost_BLM.detach(), student_mask_BL, teacher_mask_BM, regularisation, iterations)
    return (plan_BLM * cost_BLM).sum((1, 2))


@torch.no_grad()
def _plan(
    cost_BLM: Tensor, student_mask_BL: Tensor, teacher_mask_BM: Tensor, regularisation: float, iterations: int
) -> Tensor:
    """Rows sum to about 1 / tokens of the text, columns to 1 / tokens of its counterpart; 0 on padding."""
    kernel_BLM = -cost_BLM / regularisation
    log_row_BL = _log_shares(student_mask_BL, cost_BLM.dtype)
    log_column_BM = _log_shares(teacher_mask_BM, cost_BLM.dtype)
    row_BL1, column_B1M = log_row_BL.unsqueeze(2), log_column_BM.unsqueeze(1)
    for _ in range(iterations):
        row_BL1 = log_row_BL.unsqueeze(2) - (kernel_BLM + column_B1M).logsumexp(2, keepdim=True)
        column_B1M = log_column_BM.unsqueeze(1) - (kernel_BLM + row_BL1).logsumexp(1, keepdim=True)
    return (kernel_BLM + row_BL1 + column_B1M).exp()


def _log_shares(mask_BL: Tensor, dtype: torch.dtype) -> Tensor:
    """Equal shares of 1 for real tokens, -inf for padding."""
    real_BL = mask_BL.bool()
    log_share_B1 = -real_BL.sum(1, keepdim=True).to(dtype).log()
    return log_share_B1.expand(real_BL.shape).masked_fill(~real_BL, -torch.inf)
