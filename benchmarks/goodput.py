"""How much of the time on a cluster is progress: failures, checkpoints, restarts, slowest ranks; simulated.

python benchmarks/goodput.py [--out docs/images] [--quick]

The lengths are those of XQuAD-R's questions and paragraphs in HBT_SHARED (default ../shared). Tables go to
stdout, goodput_*.png to --out. Figures and assumptions are explained in docs/goodput.md.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from goodput_plots import Curve, draw_dealing, draw_intervals, draw_parts

from distributed_hbt.simulation.assumptions import HOUR, Assumptions
from distributed_hbt.simulation.formulas import expected_seconds
from distributed_hbt.simulation.stragglers import Dealing, Float64, Int32, slowdowns
from distributed_hbt.simulation.training import Outcome, simulate

SIZES = (8, 32, 128, 512, 1024, 4096)
DRAWN_SIZES = (64, 512, 4096)
PARTS_OF_BEST = (0.1, 0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0, 10.0)
ROWS_A_RANK, ALL_ROWS = 16, 8192
TOKENS_A_SECOND = 6000.0
"""Of a GPU, for the length of a step."""
MAX_QUERY, MAX_PASSAGE, OTHER_TOKENS = 64, 256, 3
"""Of the run configuration's defaults; prompt and end of a text."""
VOCABULARY = 32_000
SEEDS = (0, 1, 2)
DEALINGS: tuple[Dealing, ...] = ("balanced", "random")


@dataclass(frozen=True)
class Lengths:
    """int32[N]: tokens of each query, and of its passage."""

    query: Int32
    passage: Int32

    def slowdowns(self, ranks: int, rows: int, dealing: Dealing, batches: int) -> Float64:
        options = {"ranks": ranks, "rows": rows, "batches": batches, "seed": 0}
        return slowdowns(self.query, self.passage, dealing=dealing, **options)  # type: ignore[arg-type]

    @property
    def step_seconds(self) -> float:
        """Of a step of ROWS_A_RANK, with equal work on all ranks."""
        return float(ROWS_A_RANK * (self.query.mean() + self.passage.mean()) / TOKENS_A_SECOND)


def read_lengths(root: Path) -> Lengths:
    """Of all questions with their paragraphs, by a tokenizer that is trained on them."""
    from training_data import read_pairs

    from distributed_hbt.models.tokenizer import train_tokenizer

    pairs = list(read_pairs(root))
    texts = dict.fromkeys(text for pair in pairs for text in (pair.question, pair.paragraph))
    tokenizer = train_tokenizer(texts, VOCABULARY)
    ids_of_texts = tokenizer(list(texts))["input_ids"]
    tokens = {text: len(ids) + OTHER_TOKENS for text, ids in zip(texts, ids_of_texts, strict=True)}
    query = np.minimum([tokens[pair.question] for pair in pairs], MAX_QUERY)
    passage = np.minimum([tokens[pair.paragraph] for pair in pairs], MAX_PASSAGE)
    return Lengths(query.astype(np.int32), passage.astype(np.int32))


def trained(
    assumptions: Assumptions,
    interval: float,
    mttfs: float,
    step_seconds: float = 1.0,
    slow: Float64 | None = None,
    seeds: Sequence[int] = SEEDS,
) -> list[Outcome]:
    """Trainings of `mttfs` times the cluster's MTTF, a checkpoint after `interval` seconds of work."""
    steps = round(mttfs * assumptions.mttf / step_seconds)
    every = max(1, round(interval / step_seconds))
    return [
        simulate(
            assumptions,
            steps=steps,
            step_seconds=step_seconds,
            steps_per_checkpoint=every,
            seed=seed,
            slowdowns=slow,
        )
        for seed in seeds
    ]


def formula(assumptions: Assumptions, interval: float) -> float:
    """Goodput by Daly's model."""
    cost, restart = assumptions.checkpoint_cost, assumptions.restart
    return interval / expected_seconds(interval, interval, cost, restart, assumptions.mttf)


def spread(outcomes: Sequence[Outcome]) -> str:
    """Median and range of the goodput, in percent."""
    values = sorted(100 * outcome.goodput for outcome in outcomes)
    return f"{values[len(values) // 2]:.2f} ({values[0]:.2f} to {values[-1]:.2f})"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:,.1f} h"


def print_intervals(mttfs: float) -> None:
    print("| GPUs | MTTF | checkpoint | restart | best interval | goodput there | formula | hourly | daily |")
    print("|---|---|---|---|---|---|---|---|---|")
    for gpus in SIZES:
        one = Assumptions(gpus=gpus)
        best = one.best_interval
        others = [spread(trained(one, interval, mttfs)[:1]).split(" ")[0] for interval in (HOUR, 24 * HOUR)]
        times = " | ".join(map(duration, (one.mttf, one.checkpoint_cost, one.restart, best)))
        goodput = spread(trained(one, best, mttfs))
        print(f"| {gpus:,} | {times} | {goodput} | {100 * formula(one, best):.2f} | {' | '.join(others)} |")


def print_dealing(lengths: Lengths, batches: int) -> Mapping[tuple[str, Dealing], list[float]]:
    """Mean slowdown of each size: of a batch that grows with the ranks, and of one that does not."""
    found: dict[tuple[str, Dealing], list[float]] = {}
    print(
        "\n| ranks | "
        + " | ".join(f"{rows}, {d}" for rows in ("16 a rank", "8,192") for d in DEALINGS)
        + " |"
    )
    print("|---|---|---|---|---|")
    for ranks in SIZES:
        cells = []
        for kind, rows in (("16 rows a rank", ROWS_A_RANK * ranks), ("8,192 rows in all", ALL_ROWS)):
            for dealing in DEALINGS:
                mean = float(lengths.slowdowns(ranks, rows, dealing, batches).mean())
                found.setdefault((kind, dealing), []).append(mean)
                cells.append(f"{mean:.3f}")
        print(f"| {ranks:,} | {' | '.join(cells)} |", flush=True)
    return found


def print_together(lengths: Lengths, batches: int, mttfs: float) -> dict[str, dict[str, float]]:
    """Where the time goes with everything at once; label -> share of each part."""
    found: dict[str, dict[str, float]] = {}
    print("\n| GPUs | dealing | goodput | straggling | checkpoints | lost | restarts |")
    print("|---|---|---|---|---|---|---|")
    for gpus in SIZES:
        one = Assumptions(gpus=gpus)
        for dealing in DEALINGS:
            slow = lengths.slowdowns(gpus, ROWS_A_RANK * gpus, dealing, batches)
            outcomes = trained(one, one.best_interval, mttfs, lengths.step_seconds, slow)
            parts = {name: float(np.mean([o.parts[name] for o in outcomes])) for name in outcomes[0].parts}
            found[f"{gpus:,}\n{dealing}"] = parts
            names = ("straggling", "checkpointing", "lost", "restarting")
            shares = " | ".join(f"{100 * parts[name]:.2f}" for name in names)
            print(f"| {gpus:,} | {dealing} | {spread(outcomes)} | {shares} |", flush=True)
    return found


def print_spares(mttfs: float) -> None:
    """Goodput against the number of spare nodes, where each failure takes its node out for `repair`."""
    print("\n| GPUs | no spare | 1 | 2 | 4 | 8 |\n|---|---|---|---|---|---|")
    for gpus in (512, 1024, 4096):
        cells = []
        for spares in (0, 1, 2, 4, 8):
            one = Assumptions(gpus=gpus, spare_nodes=spares)
            cells.append(spread(trained(one, one.best_interval, mttfs)))
        print(f"| {gpus:,} | {' | '.join(cells)} |", flush=True)


def curve(gpus: int, mttfs: float) -> Curve:
    """Goodput around the best interval."""
    one = Assumptions(gpus=gpus)
    points = []
    for part in PARTS_OF_BEST:
        interval = part * one.best_interval
        low, median, high = sorted(100 * outcome.goodput for outcome in trained(one, interval, mttfs))
        points.append((interval / HOUR, low, median, high))
    smooth = np.geomspace(PARTS_OF_BEST[0], PARTS_OF_BEST[-1], 60) * one.best_interval
    by_formula = [(interval / HOUR, 100 * formula(one, interval)) for interval in smooth.tolist()]
    return Curve(gpus, one.best_interval / HOUR, points, by_formula)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="folder for the plots; none are drawn without it")
    parser.add_argument("--quick", action="store_true", help="short trainings: shapes, no figures")
    options = parser.parse_args()
    mttfs, batches = (10.0, 3) if options.quick else (200.0, 50)
    root = Path(os.environ.get("HBT_SHARED", "../shared")) / "data" / "xquad-r"
    if not root.is_dir():
        sys.exit(f"no XQuAD-R at {root}; set HBT_SHARED to the folder that holds data/xquad-r")
    lengths = read_lengths(root)
    print(
        f"{len(lengths.query):,} pairs; tokens of a query {lengths.query.mean():.1f} (standard deviation "
        f"{lengths.query.std():.1f}), of a passage {lengths.passage.mean():.1f} "
        f"({lengths.passage.std():.1f}); a balanced step of {ROWS_A_RANK} rows a rank "
        f"{lengths.step_seconds:.2f} s; shares in percent\n"
    )
    print_intervals(mttfs)
    dealing = print_dealing(lengths, batches)
    together = print_together(lengths, batches, mttfs / 10)
    print_spares(mttfs)
    if options.out is not None:
        draw_intervals(options.out / "goodput_interval.png", [curve(gpus, mttfs) for gpus in DRAWN_SIZES])
        draw_dealing(options.out / "goodput_dealing.png", SIZES, dealing)
        draw_parts(options.out / "goodput_parts.png", together)


if __name__ == "__main__":
    main()
