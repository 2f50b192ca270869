"""What benchmarks/train_step.py reports."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from training_sides import WORLD_SIZE, Chunks, MiniBatches

from distributed_hbt.train.loop import StepRecord


@dataclass(frozen=True)
class Took:
    """`seconds` of the slower rank; `cpu_seconds` of both together."""

    seconds: float
    cpu_seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s (CPU {self.cpu_seconds:.2f} s)"


@dataclass
class Turns:
    """What a step of each took, and held, turn by turn."""

    ours: list[Took] = field(default_factory=list)
    theirs: list[Took] = field(default_factory=list)
    records: list[StepRecord] = field(default_factory=list)

    @property
    def row_tokens(self) -> list[int]:
        """Of all rows, as the peer encodes them."""
        return [record.real_tokens + record.repeated_tokens for record in self.records]


@dataclass(frozen=True)
class Products:
    """Matrix products of the decoder's layers: their parameters, and FLOPs a CPU second of a rank in them,
    while the other computes them too."""

    parameters: int
    rate: float

    @classmethod
    def measured(cls, backbone: torch.nn.Module, tokens: int = 1_024) -> "Products":
        """Forward and both gradients of every linear layer, the best of several tries, results in place."""
        linears = [m for m in backbone.modules() if isinstance(m, torch.nn.Linear)]
        took = 0.0
        for (width_out, width_in), count in Counter(tuple(m.weight.shape) for m in linears).items():
            x_TI, w_OI, g_TO = (
                torch.randn(tokens, width_in),
                torch.randn(width_out, width_in),
                torch.randn(tokens, width_out),
            )
            outs = (torch.empty_like(g_TO), torch.empty_like(x_TI), torch.empty_like(w_OI))
            took += count * min(_products(x_TI, w_OI, g_TO, outs) for _ in range(9))
        parameters = sum(m.weight.numel() for m in linears)
        rate = torch.tensor(6 * parameters * tokens / took, dtype=torch.float64)
        dist.all_reduce(rate)
        return cls(parameters, float(rate) / WORLD_SIZE)

    def seconds(self, tokens: int, gradient: str) -> float:
        """CPU seconds that nothing but the products would take."""
        return {"plain": 6, "cached": 8}[gradient] * self.parameters * tokens / self.rate


def _products(
    x_TI: torch.Tensor, w_OI: torch.Tensor, g_TO: torch.Tensor, outs: tuple[torch.Tensor, ...]
) -> float:
    began = time.process_time()
    torch.mm(x_TI, w_OI.T, out=outs[0])
    torch.mm(g_TO, w_OI, out=outs[1])
    torch.mm(g_TO.T, x_TI, out=outs[2])
    return time.process_time() - began


class Tables:
    """Rows of what is printed in the end."""

    def __init__(self, products: Products) -> None:
        self.products = products
        self.speed = [
            "batch | rows | pairs/s, ours | theirs | ratio | of CPU seconds | tokens/s, ours | theirs"
        ]
        self.work = [
            "batch | rows | cut, ours | theirs | tokens, of all rows | encoded by us | distinct paragraphs "
            "| of the limit, ours | theirs"
        ]
        self.phases = ["batch | rows | seconds of a step of ours, by phase (share)"]

    def add(self, batch: int, name: str, turns: Turns, ours: Chunks, theirs: MiniBatches) -> None:
        label = f"{batch:,} | {name}"
        both = list(zip(turns.ours, turns.theirs, strict=True))
        ratios = spread([their.seconds / our.seconds for our, their in both], 2)
        of_cpu = spread([their.cpu_seconds / our.cpu_seconds for our, their in both], 2)
        pairs = [spread([batch / t.seconds for t in took], 1) for took in (turns.ours, turns.theirs)]
        tokens = [
            spread([count / t.seconds for count, t in zip(turns.row_tokens, took, strict=True)], 0)
            for took in (turns.ours, turns.theirs)
        ]
        self.speed.append(f"{label} | {' | '.join(pairs)} | {ratios} | {of_cpu} | {' | '.join(tokens)}")
        limits = [
            [self.products.seconds(r.real_tokens, ours.gradient) for r in turns.records],
            [self.products.seconds(count, theirs.gradient) for count in turns.row_tokens],
        ]
        shares = [
            statistics.median(limit / t.cpu_seconds for limit, t in zip(best, took, strict=True))
            for best, took in zip(limits, (turns.ours, turns.theirs), strict=True)
        ]
        encoded = [record.real_tokens for record in turns.records]
        distinct = [record.num_negatives + 1 for record in turns.records]
        self.work.append(
            f"{label} | {ours} | {theirs} | {spread(turns.row_tokens, 0)} | {spread(encoded, 0)} "
            f"| {spread(distinct, 0)} | {shares[0]:.0%} | {shares[1]:.0%}"
        )

    def add_phases(self, batch: int, name: str, seconds: dict[str, float]) -> None:
        whole = seconds["step"]
        parts = ", ".join(f"{name} {s:.2f} ({s / whole:.1%})" for name, s in seconds.items())
        self.phases.append(f"{batch:,} | {name} | {parts}")

    def text(self) -> str:
        tables = []
        for head, *rows in (self.speed, self.work, self.phases):
            rule = "|".join("---" for _ in head.split(" | "))
            tables.append("\n".join([f"| {head} |", f"|{rule}|", *(f"| {row} |" for row in rows)]))
        return "\n\n".join(tables)


def spread(values: Sequence[float], digits: int) -> str:
    low, middle, high = (f"{v:,.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"
