"""Exact search on the CPU against faiss IndexFlatIP: the same vectors, threads and process, turn by turn.

python benchmarks/search.py [--repeats 5] [--passages 200000]

faiss searches an index that is built before (its time is given apart); ours takes the passages as they are,
so that all it does with them counts. Lines of one case were measured in turns: read the ratios.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from distributed_hbt.evaluation.search import StreamingTopK, TopK
from distributed_hbt.evaluation.search.bfloat16_product import has_bfloat16

QUERIES = 1_190
PORTION = 20_000
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """`clustered`: mean cosine 0.7 between any two vectors, in clusters, with a spectrum that falls off."""

    dimension: int
    clustered: bool
    passages: int
    k: int

    def __str__(self) -> str:
        kind = "clustered" if self.clustered else "random"
        return f"{self.passages:,} x {self.dimension}, k = {self.k}, {kind}"


def vectors(case: Case, rows: int, seed: int) -> Floats:
    """Unit vectors [rows, D], made a portion at a time."""
    rng, shared = np.random.default_rng(seed), np.random.default_rng(0)
    spectrum_D = (1 / np.sqrt(1 + np.arange(case.dimension) / 8)).astype(np.float32)
    direction_D = shared.standard_normal(case.dimension).astype(np.float32)
    direction_D *= np.sqrt(0.7) / np.linalg.norm(direction_D)
    centre_CD = shared.standard_normal((500, case.dimension), np.float32)
    found_ND = np.empty((rows, case.dimension), np.float32)
    for start in range(0, rows, PORTION):
        part_ND = found_ND[start : start + PORTION]
        part_ND[:] = rng.standard_normal(part_ND.shape, np.float32)
        if case.clustered:
            part_ND += centre_CD[rng.integers(0, 500, len(part_ND))]
            part_ND *= spectrum_D
            part_ND *= np.sqrt(0.3) / np.linalg.norm(part_ND, axis=1, keepdims=True)
            part_ND += direction_D
        part_ND /= np.linalg.norm(part_ND, axis=1, keepdims=True)
    return found_ND


def ours(query_QD: Floats, passage_ND: Floats, k: int, portion: int) -> TopK:
    search = StreamingTopK(query_QD, k)
    key_N = np.arange(len(passage_ND))
    for start in range(0, len(passage_ND), portion):
        search.add(passage_ND[start : start + portion], key_N[start : start + portion])
    return search.result()


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def grown_mb(work: Callable[[], object]) -> float:
    """How far the process's resident memory rose above what it was before, at its peak (Linux)."""

    def status(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field))

    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    work()
    return (status("VmHWM") - before) / 1024


def compare(found: TopK, score_QK: Floats, key_QK: NDArray[np.int64]) -> str:
    """Where the two name different passages, those must have the same score to 1e-6."""
    differ_QK = found.key_QK != key_QK
    apart = float(abs(found.score_QK - score_QK).max())
    assert apart < 1e-6, f"scores differ by {apart}"
    return f"ids differ at {differ_QK.mean():.3%} of the ranks, by ties: scores apart by {apart:.0e} at most"


def show(name: str, times: list[float], peers: list[float], memory: float) -> None:
    ratios = [peer / mine for peer, mine in zip(peers, times, strict=True)]
    print(
        f"  {name:<24} {statistics.median(times):6.2f} s ({min(times):.2f} to {max(times):.2f})"
        f"  faiss takes {statistics.median(ratios):.2f} times that ({min(ratios):.2f} to {max(ratios):.2f})"
        f"  +{memory:.0f} MB",
        flush=True,
    )


def measure(case: Case, repeats: int) -> None:
    query_QD, passage_ND = vectors(case, QUERIES, 1), vectors(case, case.passages, 2)
    cosine = float(query_QD.mean(axis=0) @ passage_ND.mean(axis=0))
    print(f"{case} (mean cosine {cosine:.2f})", flush=True)
    index = faiss.IndexFlatIP(case.dimension)
    built = seconds(lambda: index.add(passage_ND))
    turns: dict[str, Callable[[], object]] = {
        "faiss, search alone": lambda: index.search(query_QD, case.k),
        "ours, at once": lambda: ours(query_QD, passage_ND, case.k, case.passages),
        f"ours, {PORTION:,} at a time": lambda: ours(query_QD, passage_ND, case.k, PORTION),
    }
    memory = {name: grown_mb(work) for name, work in turns.items()}  # and all is warm
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(repeats):
        for name, work in turns.items():
            times[name].append(seconds(work))
    for name in turns:
        show(name, times[name], times["faiss, search alone"], memory[name])
    print(f"  faiss's index: built in {built:.2f} s, {passage_ND.nbytes / 2**20:.0f} MB")
    found = ours(query_QD, passage_ND, case.k, PORTION)
    print(f"  {compare(found, *index.search(query_QD, case.k))}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--passages", type=int, default=200_000)
    options = parser.parse_args()
    faiss.omp_set_num_threads(torch.get_num_threads())
    print(
        f"{QUERIES:,} queries, {torch.get_num_threads()} threads, {options.repeats} repeats, "
        f"{'bfloat16' if has_bfloat16() else 'float32'} on this processor; "
        f"faiss {faiss.__version__}, numpy {np.__version__}, torch {torch.__version__}"
    )
    for dimension in (256, 1024):
        for clustered in (False, True):
            measure(Case(dimension, clustered, options.passages, 100), options.repeats)
    for dimension in (256, 1024):
        measure(Case(dimension, True, PORTION, 1_000), options.repeats)


if __name__ == "__main__":
    main()
