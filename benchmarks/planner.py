"""What `hbt plan` predicts beside what is measured: memory and step time of tiny models on CPUs.

python -m benchmarks.planner [--quick]

From the repository's root. The rate of matrix products and the share of it that a training step reaches are
measured first, on other shapes than those of the table. Memory and CPU time: see benchmarks/planner_cases.py.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.planner_cases import Case, MadeUpBatches, Measured, measured, run_of
from distributed_hbt.planner.cluster import Assumptions, ClusterDescription
from distributed_hbt.planner.gpus import GpuKind
from distributed_hbt.planner.plan import Plan, plan_of
from distributed_hbt.planner.setting import SettingBuilder

CALIBRATION = Case("qwen3", 320, 3, 0, 1, "plain", rows=24, passage=72)
"""Not in the table: its step says which share of the products' rate a step reaches."""

ONE_RANK = (
    Case("qwen3", 256, 4, 0, 1, "plain"),
    Case("qwen3", 256, 4, 0, 1, "cached"),
    Case("qwen3", 256, 4, 1, 1, "cached", lora=True),
    Case("qwen3", 256, 4, 2, 1, "plain", checkpointing=True),
    Case("llama", 384, 3, 2, 1, "cached"),
    Case("xlm-roberta", 256, 4, 0, 1, "plain"),
    Case("gemma", 256, 4, 2, 1, "cached", dtype="bfloat16"),
    Case("mistral", 256, 4, 3, 1, "plain"),
)
TWO_RANKS = (
    Case("qwen3", 256, 4, 0, 2, "cached"),
    Case("qwen3", 256, 4, 1, 2, "plain"),
    Case("qwen3", 256, 4, 2, 2, "plain"),
    Case("qwen3", 256, 4, 2, 2, "cached"),
    Case("qwen3", 256, 4, 3, 2, "cached"),
    Case("qwen3", 256, 4, 2, 2, "cached", lora=True),
    Case("xlm-roberta", 256, 4, 2, 2, "cached", dtype="bfloat16"),
)
QUICK = (ONE_RANK[0], ONE_RANK[2])


def product_rate() -> float:
    """FLOP a CPU second of float32 products, on shapes that no case has."""
    rates = []
    for tokens, width, inner in ((768, 320, 800), (1_280, 448, 1_120)):
        left, right = torch.randn(tokens, width), torch.randn(inner, width)
        times = []
        for _ in range(12):
            began = time.process_time()
            for _ in range(4):
                torch.nn.functional.linear(left, right)
            times.append(time.process_time() - began)
        rates.append(4 * 2.0 * tokens * width * inner / statistics.median(times))
    return statistics.mean(rates)


def cluster(rate: float, share: float) -> ClusterDescription:
    """Of CPU cores with this rate; traffic inside one machine takes next to no CPU seconds."""
    kind = GpuKind(
        bfloat16_teraflops=rate / 1e12,
        float32_teraflops=rate / 1e12,
        memory_gib=8.0,
        memory_gb_per_second=10.0,
        link_gb_per_second=100.0,
    )
    return ClusterDescription(gpu=kind, gpus_per_node=2, assumptions=Assumptions(utilisation=share))


def planned(case: Case, on: ClusterDescription, folder: Path) -> Plan:
    """With the texts that are measured."""
    config = run_of(case, folder)
    return plan_of(SettingBuilder(on).of(config, MadeUpBatches(case, 0).workload(2, config)))


def rows(cases: dict[Case, Measured], on: ClusterDescription, folder: Path) -> Iterator[str]:
    """Of the table. Time in bfloat16 is left out: its products have another rate here."""
    for case, found in cases.items():
        plan = planned(case, on, folder)
        memory, seconds = plan.memory.allocated, plan.step.total
        timed = "| | | |"
        if case.dtype == "float32":
            timed = f"| {found.seconds:.2f} | {seconds:.2f} | {seconds / found.seconds - 1:+.0%} |"
        held = f"{found.peak / 2**20:.1f} | {memory / 2**20:.1f} | {memory / found.peak - 1:+.0%}"
        yield f"| {case} | {held} {timed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two cases")
    quick = parser.parse_args().quick
    os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    torch.set_num_threads(1)
    cases = [CALIBRATION, *(QUICK if quick else ONE_RANK + TWO_RANKS)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rate = product_rate()
        found = measured(cases, folder)
        calibrated = found.pop(CALIBRATION)
        at_full_rate = planned(CALIBRATION, cluster(rate, 1.0), folder).step.total
        share = min(1.0, at_full_rate / calibrated.seconds)
        print(f"Products: {rate / 1e9:.0f} GFLOP a CPU second. {CALIBRATION}: {share:.0%} of it.\n")
        print("| run | peak MiB | predicted | | CPU s a step | predicted | |\n|---|---|---|---|---|---|---|")
        for line in rows(found, cluster(rate, share), folder):
            print(line, flush=True)


if __name__ == "__main__":
    main()
