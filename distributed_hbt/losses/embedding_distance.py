"""Embeddings regressed onto a teacher's (Reimers & Gurevych, arXiv 2004.09813).

cost_i = |s_i - t_i|^2,   which is 2 - 2 cos(s_i, t_i) for embeddings of unit length
"""

import torch
from torch import Tensor


def embedding_distance(student_SD: Tensor, teacher_SD: Tensor) -> Tensor:
    """Squared distance of every row, [S] float32."""
    dtype = torch.promote_types(student_SD.dtype, torch.float32)
    return (student_SD.to(dtype) - teacher_SD.to(dtype)).square().sum(1)
