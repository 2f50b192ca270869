"""Approximate scores by torch's matrix product on a GPU."""

from dataclasses import dataclass

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
"""Relative error of a number that is cut to TF32. Whether torch multiplies float32 so is a switch of the whole
process, which is not ours to set: the margins hold either way."""


class GpuProduct:
    """In float32, or in float64, whose margins are that of the score itself; passages relative to a centre."""

    def __init__(self, query_QD: Floats, centre_D: Floats, device: str, dtype: torch.dtype) -> None:
        self.norm_Q: Doubles = norms(query_QD, "query")
        self.centre_norm = float(norms(centre_D[None], "the centre of the passages")[0])
        self.base_Q: Doubles = (query_QD @ centre_D).astype(np.float64)
        self.query_QD = torch.from_numpy(query_QD).to(device, dtype)
        self.centre_D = torch.from_numpy(centre_D).to(device)

    def prepare(self, passage_ND: Floats) -> "GpuPassages":
        difference_ND = torch.from_numpy(passage_ND).to(self.centre_D.device) - self.centre_D
        longest = float(torch.linalg.vector_norm(difference_ND, dim=1, dtype=torch.float64).max())
        difference_ND = difference_ND.to(self.query_QD.dtype)
        return GpuPassages(self.query_QD, difference_ND, self._margins(longest * (1 + 2.0**-20)))

    def _margins(self, norm: float) -> Margins:
        """For passages whose difference to the centre has at most this norm."""
        dimension = len(self.centre_D)
        # The score itself and q.c are float32 sums; so is the product in float32, but a GPU's units cut what
        # they add where a processor rounds, which is worse by less than a factor of four.
        sums = norm + 2 * self.centre_norm + 4 * norm
        relative = rounding(dimension) * sums
        if self.query_QD.dtype == torch.float32:
            relative += 2 * TENSOR_FLOAT * (1 + TENSOR_FLOAT) * norm
        error_Q = self.norm_Q * relative + underflow(dimension) * (1 + self.norm_Q) * (1 + norm)
        return Margins(self.base_Q, error_Q, float32_below)


@dataclass(frozen=True, slots=True)
class GpuPassages:
    query_QD: Tensor
    passage_ND: Tensor
    margins: Margins

    def block(self, rows: Rows, columns: slice) -> "GpuBlock":
        chosen = rows if isinstance(rows, slice) else torch.from_numpy(rows).to(self.query_QD.device)
        return GpuBlock(self.query_QD[chosen] @ self.passage_ND[columns].T)


@dataclass(frozen=True, slots=True)
class GpuBlock:
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
        found: Floats = self.value_RB.flatten()[positions].float().cpu().numpy()
        return found

    def _limits(self, limit_R: Floats) -> Tensor:
        return torch.from_numpy(limit_R).to(self.value_RB.device)[:, None]


def _positions(chosen_RB: Tensor) -> Integers:
    found: Integers = chosen_RB.flatten().nonzero().flatten().cpu().numpy()
    return found
