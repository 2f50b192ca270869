"""How long the batch plan takes: made, asked for step 1,000,000, asked step after step.

python benchmarks/batch_plan.py [--groups 1000000] [--batch 1024]
"""

import argparse
import statistics
import time

import numpy as np

from distributed_hbt.config.sampling import SamplingConfig
from distributed_hbt.data.plan.batch_plan import BatchPlan
from distributed_hbt.data.plan.index import PlanIndex

LANGUAGES = ("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh")
FAR = (1_000_000, 2_000_000, 3_000_000, 5, 999_999, 4_000_000, 1_500_000, 77, 2_500_000, 3_500_000)


def parallel_index(num_groups: int) -> PlanIndex:
    """Every group in every language."""
    group = np.repeat(np.arange(num_groups), len(LANGUAGES))
    language = np.tile(np.arange(len(LANGUAGES), dtype=np.int16), num_groups)
    keys = np.random.default_rng(0).integers(0, 2**63, (2, len(group)), dtype=np.uint64)
    source = np.zeros(len(group), np.int16)
    return PlanIndex(
        LANGUAGES, num_groups, group, language, source, keys[0], group.copy(), language.copy(), keys[1]
    )


def milliseconds(plan: BatchPlan, step: int) -> float:
    began = time.perf_counter()
    plan.batch(step)
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=1024)
    options = parser.parse_args()
    index = parallel_index(options.groups)
    for name, sampling in {
        "hybrid, mixed": SamplingConfig(),
        "hybrid, single pair": SamplingConfig(cross_batches="single_pair"),
        "x_x": SamplingConfig(strategy="x_x"),
    }.items():
        began = time.perf_counter()
        plan = BatchPlan(index, sampling, options.batch, seed=13)
        made = time.perf_counter() - began
        jumps = [milliseconds(plan, step) for step in FAR]
        row = [milliseconds(plan, step) for step in range(300)]
        print(
            f"{name}: made in {made:.1f} s; first jump {jumps[0]:.1f} ms; further jumps median "
            f"{statistics.median(jumps[1:]):.1f} ms ({min(jumps[1:]):.1f} to {max(jumps[1:]):.1f}); "
            f"step after step {statistics.mean(row):.2f} ms"
        )


if __name__ == "__main__":
    main()
