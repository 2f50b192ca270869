"""Approximate scores by torch's matrix product on a GPU."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from distributed_hbt.evaluation.search.bounds import (
    Doubles,
    Margins,
    Rows,
    float32_below,
    norms,
    rounding,
    underflow,
)
from distributed_hbt.evaluation.search.pair_scores import Floats, Integers

TENSOR_FLOAT = 2.0**-10
"""Relative error of a number that is cut to TF32. Whether torch multiplies float32 so is a switch of the
whole process and not ours to set: the margins hold either way."""

CUT_SUMS = 8
"""A GPU's matrix units cut where a processor rounds, terms and sums: more than what that can be worse by."""


class GpuProduct:
    """In float32; or in float64, which adds nothing to the error of the score itself. Passages are taken
    relative to a centre, as in BFloat16Product."""

    def __init__(self, query_QD: Floats, centre_D: Floats, device: str, dtype: torch.dtype) -> None:
        self._norm_Q: Doubles = norms(query_QD)
        self._centre_norm = float(norms(centre_D[None])[0])
        self._base_Q: Doubles = (query_QD @ centre_D).astype(np.float64)
        self._query_QD = torch.from_numpy(query_QD).to(device, dtype)
        self._centre_D = torch.from_numpy(centre_D).to(device)

    def prepare(self, passage_ND: Floats) -> "GpuPassages":
        difference_ND = torch.from_numpy(passage_ND).to(self._centre_D.device) - self._centre_D
        difference_ND = difference_ND.to(self._query_QD.dtype)
        longest = float(torch.linalg.vector_norm(difference_ND, dim=1, dtype=torch.float64).max())
        return GpuPassages(self._query_QD, difference_ND, self._margins(longest * (1 + 2.0**-20)))

    def _margins(self, norm: float) -> Margins:
        """For passages whose difference to the centre has at most this norm."""
        dimension = len(self._centre_D)
        # The score itself and q.c are float32 sums; what `rounding` is too large covers p - c.
        relative = rounding(dimension) * (norm + 2 * self._centre_norm)
        if self._query_QD.dtype == torch.float32:
            relative += (rounding(dimension) * CUT_SUMS + 2 * TENSOR_FLOAT + TENSOR_FLOAT**2) * norm
        error_Q = self._norm_Q * relative + underflow(dimension) * (1 + self._norm_Q) * (1 + norm)
        return Margins(self._base_Q, error_Q, float32_below)


@dataclass(frozen=True, slots=True)
class GpuPassages:
    query_QD: Tensor
    passage_ND: Tensor
    margins: Margins

    def block(self, rows: Rows, columns: slice) -> "GpuBlock":
        chosen = rows if isinstance(rows, slice) else torch.from_numpy(rows).to(self.query_QD.device)
        return GpuBlock((self.query_QD[chosen] @ self.passage_ND[columns].T).float())


@dataclass(frozen=True, slots=True)
class GpuBlock:
    """Values in float32, whatever they were computed in."""

    value_RB: Tensor

    def reaching(self, floor_R: Floats) -> Integers:
        return _positions(self.value_RB >= self._limits(floor_R))

    def around(self, row_T: Integers, floor_T: Floats, ceiling_T: Floats) -> tuple[Integers, Integers]:
        value_TB = self.value_RB[torch.from_numpy(row_T).to(self.value_RB.device)]
        above_TB = value_TB > self._limits(ceiling_T)
        between_TB = (value_TB >= self._limits(floor_T)) & ~above_TB
        return above_TB.sum(dim=1).cpu().numpy(), _positions(between_TB)

    def values(self, position_P: Integers) -> Floats:
        positions = torch.from_numpy(position_P).to(self.value_RB.device)
        found: Floats = self.value_RB.flatten()[positions].cpu().numpy()
        return found

    def best(self, k: int, others: Self | None) -> "GpuBlock":
        value_RB = self.value_RB if others is None else torch.cat([self.value_RB, others.value_RB], dim=1)
        if value_RB.shape[1] > k:
            value_RB = value_RB.topk(k, dim=1, sorted=False).values
        return GpuBlock(value_RB)

    def lowest(self) -> Floats:
        lowest: Floats = self.value_RB.amin(dim=1).cpu().numpy()
        return lowest

    def _limits(self, limit_R: Floats) -> Tensor:
        return torch.from_numpy(limit_R).to(self.value_RB.device)[:, None]


def _positions(chosen_RB: Tensor) -> Integers:
    found: Integers = chosen_RB.flatten().nonzero().flatten().cpu().numpy()
    return found
