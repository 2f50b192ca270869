"""Texts to embeddings, beside sentence-transformers with the same model: passages a second on real lengths.

pip install -e '.[benchmarks]'
OMP_NUM_THREADS=2 HBT_SHARED=<folder that holds data/> python benchmarks/encode.py

A random decoder (qwen3, 6 layers x 384) and a tokenizer trained on the spot; both sides read the same folder,
and end to end means from text. First their embeddings must be equal to 1e-5, else the program ends with an
error. Then the peer's batch size is tuned, and both take turns. `onednn` replaces the linear layers of both
sides by those of torch.utils.mkldnn.
"""

import argparse
import importlib.util
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from encoding_sides import AS_SHIPPED, LONGEST, Ours, Peer, Texts, read_texts, write_model

from distributed_hbt.data.chunks import padded_tokens
from distributed_hbt.evaluation.batches import best_batches
from distributed_hbt.evaluation.embed import WINDOW
from distributed_hbt.evaluation.encode import CPU_TOKENS

Run = Callable[[], object]

UNIFORM = 128
BATCH_SIZES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Workload:
    name: str
    texts: Texts
    max_length: int


def workloads(ours: Ours, sentences: Texts, paragraphs: Texts, scale: float) -> list[Workload]:
    lengths = map(len, ours.texts.passages(paragraphs))
    long = [text for text, length in zip(paragraphs, lengths, strict=True) if length >= UNIFORM]
    return [
        Workload("sentences", sample(sentences, round(600 * scale)), LONGEST),
        Workload("paragraphs", sample(paragraphs, round(120 * scale)), LONGEST),
        Workload(f"uniform, {UNIFORM} tokens", sample(long, round(220 * scale)), UNIFORM),
    ]


def sample(texts: Texts, count: int) -> list[str]:
    chosen = np.random.default_rng(0).choice(len(texts), min(count, len(texts)), replace=False)
    return [texts[i] for i in chosen]


def seconds(run: Run) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def in_turns(runs: dict[str, Run], repeats: int) -> dict[str, list[float]]:
    """Seconds of every run in every repeat; the order alternates."""
    took: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats):
        for name in list(runs) if repeat % 2 == 0 else list(runs)[::-1]:
            took[name].append(seconds(runs[name]))
    return took


def check_parity(ours: Ours, peer: Peer, workload: Workload) -> float:
    """The largest difference; the program ends where it is more than 1e-5."""
    difference = float(np.abs(ours(workload.texts) - peer(workload.texts)).max())
    if not difference <= 1e-5:
        raise SystemExit(f"{workload.name}: embeddings differ by {difference:.1e}: speeds mean nothing")
    return difference


def tune(peer: Peer, texts: Texts) -> dict[int, float]:
    """Texts a second with every batch size, on half of the texts; the best is left set."""
    half = texts[::2]
    speeds = {size: len(half) / seconds(lambda size=size: peer(half, size)) for size in BATCH_SIZES}
    peer.batch_size = max(speeds, key=lambda size: speeds[size])
    return speeds


def matrix_bound(ours: Ours) -> float:
    """Tokens a second if nothing but the matrix products that are needed were computed, without padding."""
    from torch.utils.mkldnn import MkldnnLinear

    calls: list[tuple[torch.nn.Module, torch.Tensor]] = []
    linears = [m for m in ours.backbone.modules() if isinstance(m, (torch.nn.Linear, MkldnnLinear))]
    hooks = [m.register_forward_hook(lambda m, args, _: calls.append((m, args[0].clone()))) for m in linears]
    ids_BL = torch.randint(ours.backbone.config.vocab_size, (8, UNIFORM))
    ours.model.encoder.embed(ids_BL, torch.ones_like(ids_BL))
    for hook in hooks:
        hook.remove()
    with torch.no_grad():
        took = [seconds(lambda: [linear(hidden) for linear, hidden in calls]) for _ in range(15)]
    return ids_BL.numel() / min(took)


def steps_between(ours: Ours, peer: Peer, texts: Texts) -> dict[str, Run]:
    """From the peer's way to ours, one change after the other; each includes those before it."""
    encoder = ours.model.encoder

    def in_its_batches(embed: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        ordered = sorted(texts, key=len, reverse=True)
        with torch.no_grad():
            for first in range(0, len(ordered), peer.batch_size):
                embed(*ours.texts.pad(ours.texts.passages(ordered[first : first + peer.batch_size])))

    def masked(ids_BL: torch.Tensor, mask_BL: torch.Tensor) -> torch.Tensor:
        hidden_BLD: torch.Tensor = ours.backbone(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state
        return hidden_BLD

    return {
        "sentence-transformers, tuned": lambda: peer(texts),
        "its batches in a plain loop": lambda: in_its_batches(masked),
        "no attention mask": lambda: in_its_batches(encoder),
        "last layer for the pooled token": lambda: in_its_batches(encoder.embed),
        "sorted by tokens, in the best batches": lambda: ours(texts),
    }


def padding_row(ours: Ours, name: str, texts: Texts) -> str:
    """Counted, not timed, on all texts: padded shares of their batch sizes and of our budgets."""
    lengths = np.array([len(tokens) for tokens in ours.texts.passages(texts)])
    longest_first = np.argsort([-len(text) for text in texts])
    theirs = []
    for size in (8, AS_SHIPPED, 64, 256):
        batches = [lengths[longest_first[i : i + size]] for i in range(0, len(texts), size)]
        theirs.append(1 - lengths.sum() / sum(len(batch) * batch.max() for batch in batches))
    budgets = (CPU_TOKENS, 16384)
    mine = [1 - lengths.sum() / padded_in_windows(lengths, budget) for budget in budgets]
    return f"{name} | {len(texts)} | " + " | ".join(f"{share:.1%}" for share in theirs + mine)


def padded_in_windows(lengths: np.ndarray, budget: int) -> int:
    windows = [lengths[first : first + WINDOW] for first in range(0, len(lengths), WINDOW)]
    return sum(padded_tokens(best_batches(window, budget), window) for window in windows)


def use_onednn(backbone: torch.nn.Module) -> None:
    from torch.utils.mkldnn import to_mkldnn

    to_mkldnn(backbone)


def spread(values: Sequence[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


class Tables:
    """Measures workloads and keeps the rows of the tables."""

    def __init__(self, ours: Ours, peer: Peer, repeats: int) -> None:
        self.ours, self.peer, self.repeats = ours, peer, repeats
        self.speed = ["kernels | texts | ours | theirs, tuned | ratio | theirs, batch_size 32 | ratio"]
        self.work = [
            "kernels | texts | number, real tokens | difference | real tokens/s, ours, theirs | bound "
            "| padded, ours, theirs, at 32 | tokenizing, ours, theirs | their passages/s by batch_size"
        ]
        self.padding = [
            "padded share, all of | texts | theirs at 8 | at 32 | at 64 | at 256 | ours on a CPU | at 16384"
        ]
        self.steps = ["texts | including all above | s | gain"]

    def measure(self, workload: Workload, kernels: str) -> None:
        ours, peer, texts = self.ours, self.peer, workload.texts
        ours.limit(workload.max_length)
        peer.limit(workload.max_length)
        difference = check_parity(ours, peer, workload)
        speeds = tune(peer, texts)
        padded: dict[str, int] = {}

        def run(name: str, side: Ours | Peer, *size: int) -> None:
            side(texts, *size)
            padded[name] = side.padded_tokens

        runs: dict[str, Run] = {
            "ours": lambda: run("ours", ours),
            "tuned": lambda: run("tuned", peer),
            "shipped": lambda: run("shipped", peer, AS_SHIPPED),
        }
        took = in_turns(runs, self.repeats)
        self._add_speed(f"{kernels} | {workload.name}", len(texts), took)
        real_tokens = sum(map(len, ours.texts.passages(texts)))
        rates = [real_tokens / statistics.median(took[side]) for side in ("ours", "tuned")]
        tokenizing = [
            seconds(lambda: ours.tokenize(texts)) / statistics.median(took["ours"]),
            seconds(lambda: peer.tokenize(texts)) / statistics.median(took["tuned"]),
        ]
        self.work.append(
            f"{kernels} | {workload.name} | {len(texts)}, {real_tokens} | {difference:.0e} "
            f"| {', '.join(f'{rate:.0f}' for rate in rates)} | {matrix_bound(ours):.0f} "
            f"| {', '.join(f'{1 - real_tokens / passed:.1%}' for passed in padded.values())} "
            f"| {', '.join(f'{share:.1%}' for share in tokenizing)} "
            f"| {', '.join(f'{size}: {speed:.1f}' for size, speed in speeds.items())}"
        )

    def explain(self, workload: Workload, repeats: int) -> None:
        """The steps between the two, on half of the texts, right after `measure`."""
        took = in_turns(steps_between(self.ours, self.peer, workload.texts[::2]), repeats)
        medians = [statistics.median(values) for values in took.values()]
        for i, (name, values) in enumerate(took.items()):
            gain = f"{medians[i - 1] / medians[i]:.2f}" if i else ""
            self.steps.append(f"{workload.name} | {name} | {spread(values, 2)} | {gain}")

    def _add_speed(self, label: str, count: int, took: dict[str, list[float]]) -> None:
        cells = [label, spread([count / value for value in took["ours"]], 1)]
        for theirs in ("tuned", "shipped"):
            ratios = [their / our for our, their in zip(took["ours"], took[theirs], strict=True)]
            cells += [spread([count / value for value in took[theirs]], 1), spread(ratios, 2)]
        self.speed.append(" | ".join(cells))
        print(f"{self.speed[-1]}; batch_size {self.peer.batch_size}", file=sys.stderr, flush=True)

    def text(self) -> str:
        tables = []
        for head, *rows in (self.speed, self.work, self.steps, self.padding):
            rule = "|".join("---" for _ in head.split(" | "))
            tables.append("\n".join([f"| {head} |", f"|{rule}|", *(f"| {row} |" for row in rows)]))
        return "\n\n".join(tables)


def versions(repeats: int) -> str:
    import sentence_transformers
    import transformers

    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, "
        f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}; "
        f"Python {platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}, sentence-transformers {sentence_transformers.__version__}; "
        f"{repeats} repeats: median (range); passages a second unless named otherwise.\n"
    )


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kernels", nargs="+", choices=["default", "onednn"], default=["default", "onednn"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--step-repeats", type=int, default=3, help="0 leaves the steps out")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of texts")
    parser.add_argument("--vocab-size", type=int, default=16_000)
    return parser.parse_args()


def main() -> int:
    options = parsed()
    if importlib.util.find_spec("sentence_transformers") is None:
        print("encode.py needs sentence-transformers: pip install -e '.[benchmarks]'", file=sys.stderr)
        return 2
    root = Path(os.environ.get("HBT_SHARED", "../shared")) / "data" / "xquad-r"
    if not root.is_dir():
        raise SystemExit(f"{root} is not there; set HBT_SHARED to the folder that holds data/")
    sentences, paragraphs = read_texts(root)
    print(versions(options.repeats), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), paragraphs, options.vocab_size)
        ours, peer = Ours(Path(folder)), Peer(Path(folder))
        tables = Tables(ours, peer, options.repeats)
        for name, texts in (("sentences", sentences), ("paragraphs", paragraphs)):
            tables.padding.append(padding_row(ours, name, texts))
        every = workloads(ours, sentences, paragraphs, options.scale)
        for kernels in options.kernels:
            if kernels == "onednn":
                use_onednn(ours.backbone)
                use_onednn(peer.backbone)
            for workload in every:
                tables.measure(workload, kernels)
                if options.step_repeats and kernels == "default" and workload is not every[-1]:
                    tables.explain(workload, options.step_repeats)
    print(tables.text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
