"""A training step beside sentence-transformers with the same model: two ranks of one thread, turn by turn.

pip install -e '.[benchmarks]'
HBT_SHARED=<folder that holds data/> python benchmarks/train_step.py [--batches 256] [--turns 5] [--width 256]

Both train one random decoder (qwen3, 6 layers) on the same rows of XQuAD-R in the same order, float32, AdamW,
no dropout. First loss and gradients of a step must be equal (1e-5), and so must the losses of 50 steps
(1e-3); else the program ends with an error. Then each side's way to cut a batch is tuned, and both take
turns.

A step of ours counts everything, from the store's rows on. The peer gets its texts tokenized and padded.
Tokens are those of all rows; a paragraph that several rows share is encoded once by us, row by row by the
peer. The limit is the time of the matrix products alone, 6N FLOPs a token (8N with cached gradients) at the
rate that torch reaches in them here; its share counts the tokens that were encoded, without padding.
Where other work disturbs the seconds, the ratio of the CPU seconds of both ranks together says more.
"""

import argparse
import importlib.util
import logging
import math
import os
import platform
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from training_data import GATE, WORKLOADS, open_workload, write_workloads
from training_sides import (
    WORLD_SIZE,
    Chunks,
    Features,
    Gradients,
    MiniBatches,
    Ours,
    Peer,
    features,
    mean_over_ranks,
)
from training_tables import Products, Tables, Took, Turns

from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.train.loop import StepRecord, Trainer
from distributed_hbt.train.phases import MeasuredPhases, Phases, not_measured

GATE_BATCH, GATE_STEPS = 16, 50
OUR_CUTS = (
    *(Chunks("cached", tokens) for tokens in (1_024, 2_048, 4_096)),
    Chunks("plain", 2_048),
)
THEIR_SIZES, THEIR_TOKENS = (2, 8, 32), (512, 2_048)
PLAIN_UP_TO = 256
"""The largest batch at which plain gradients are tried: the peer's take 15 GB there."""

Cut = TypeVar("Cut", Chunks, MiniBatches)


@dataclass(frozen=True)
class Sides:
    """What a rank has."""

    rank: int
    folder: Path
    ours: Ours
    peer: Peer

    def say(self, text: str, *, progress: bool = False) -> None:
        if self.rank == 0:
            print(text, file=sys.stderr if progress else sys.stdout, flush=True)


def timed(run: Callable[[], object]) -> Took:
    """How long it takes until the last rank is done, and what both compute."""
    dist.barrier()
    began, cpu_began = time.perf_counter(), time.process_time()
    run()
    took = torch.tensor(time.perf_counter() - began, dtype=torch.float64)
    cpu = torch.tensor(time.process_time() - cpu_began, dtype=torch.float64)
    dist.all_reduce(took, op=dist.ReduceOp.MAX)
    dist.all_reduce(cpu)
    return Took(float(took), float(cpu))


def our_step(trainer: Trainer, step: int, phases: Phases = not_measured) -> StepRecord:
    began = time.perf_counter()
    with phases("data"):
        inputs = trainer.inputs.make(step)
    record, _ = trainer.step(inputs, began=began, phases=phases)
    return record


def check_equal(sides: Sides) -> str:
    """The gate. Both sides take plain and cached steps by turns."""
    config, prepared = open_workload(sides.folder, GATE, GATE_BATCH)
    peer, rank = sides.peer, sides.rank
    plain = peer.loss(MiniBatches("plain"))
    cached = peer.loss(MiniBatches("cached", size=3))
    first = features(config, prepared, 0, rank)
    plain_loss = mean_over_ranks(peer.backward(plain, first))
    plain_gradients = peer.gradients()
    cached_loss = mean_over_ranks(peer.backward(cached, first))
    cached_gradients = peer.gradients()
    peer.optimizer.step()
    trainers = [sides.ours.trainer(config, prepared, Chunks(way, 256)) for way in ("cached", "plain")]
    loss, gradients = sides.ours.first_step(trainers[0])
    errors = [relative_error(found, gradients) for found in (plain_gradients, cached_gradients)]
    errors += [abs(found - loss) / loss for found in (plain_loss, cached_loss)]
    ours, theirs = [loss], [cached_loss]
    for step in range(1, GATE_STEPS):
        rows = features(config, prepared, step, rank)
        theirs.append(mean_over_ranks(peer.step((cached, plain)[step % 2], rows)))
        ours.append(our_step(trainers[step % 2], step).loss)
    apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    text = (
        f"Step 1, loss and gradients: relative difference {max(errors):.1e} at most. Losses of "
        f"{GATE_STEPS} steps, {ours[0]:.3f} to {ours[-1]:.3f}: {apart:.1e} apart at most.\n"
    )
    if not (max(errors) <= 1e-5 and apart <= 1e-3):
        sides.say(f"{text}The two do not train alike: speeds mean nothing.", progress=True)
        raise SystemExit(1)
    return text


def relative_error(found: Gradients, expected: Gradients) -> float:
    """Norm of the difference over the norm of what is expected, over all parameters together."""
    assert found.keys() == expected.keys()
    difference = sum(float((found[name] - expected[name]).double().square().sum()) for name in expected)
    return math.sqrt(difference / sum(float(value.double().square().sum()) for value in expected.values()))


class Measurement:
    """One workload at one batch size."""

    def __init__(self, sides: Sides, name: str, batch: int) -> None:
        self.sides, self.name, self.batch = sides, name, batch
        self.config, self.prepared = open_workload(sides.folder, name, batch)

    def run(self, turns: int) -> tuple[Turns, Chunks, MiniBatches]:
        our_cut, their_cut = self._tuned()
        trainer = self._trainer(our_cut)
        loss = self.sides.peer.loss(their_cut)
        found = Turns()
        for turn in range(turns):
            rows = self._features(turn)

            def we(turn: int = turn) -> None:
                found.records.append(our_step(trainer, turn))

            def they(rows: Features = rows) -> None:
                self.sides.peer.step(loss, rows)

            for run, took in [(we, found.ours), (they, found.theirs)][:: 1 if turn % 2 == 0 else -1]:
                took.append(timed(run))
            self._say(f"turn {turn + 1}: ours {found.ours[-1]}, theirs {found.theirs[-1]}")
        return found, our_cut, their_cut

    def phases(self, cut: Chunks) -> dict[str, float]:
        """Where one more step of ours spends its time on this rank."""
        phases = MeasuredPhases(torch.device("cpu"))
        dist.barrier()
        record = our_step(self._trainer(cut), 0, phases)
        rest = record.seconds - sum(phases.seconds.values())
        return {**phases.seconds, "rest": rest, "step": record.seconds}

    def _tuned(self) -> tuple[Chunks, MiniBatches]:
        small = Measurement(self.sides, self.name, max(32, min(self.batch // 4, 128)))
        their_cuts = [MiniBatches("cached", size) for size in THEIR_SIZES]
        their_cuts += [MiniBatches("cached", self.batch, tokens) for tokens in THEIR_TOKENS]
        their_cuts.append(MiniBatches("plain"))
        small._ours_takes(OUR_CUTS[0])  # warm
        return (
            self._fastest(OUR_CUTS, small._ours_takes, self._ours_takes),
            self._fastest(their_cuts, small._theirs_take, self._theirs_take),
        )

    def _fastest(
        self, cuts: Sequence[Cut], takes: Callable[[Cut], float], takes_whole: Callable[[Cut], float]
    ) -> Cut:
        """By CPU seconds on a smaller batch, which other work disturbs least. Where that is a plain one, it
        must win on the whole batch too, whose memory is slower."""
        took = {cut: takes(cut) for cut in cuts if cut.gradient == "cached" or self.batch <= PLAIN_UP_TO}
        self._say(f"tuning: {listed(took)}")
        first, *others = sorted(took, key=took.__getitem__)
        if first.gradient == "cached":
            return first
        rivals = (first, next(cut for cut in others if cut.gradient == "cached"))
        took = {cut: takes_whole(cut) for cut in rivals}
        self._say(f"the whole batch: {listed(took)}")
        return min(rivals, key=took.__getitem__)

    def _trainer(self, cut: Chunks) -> Trainer:
        return self.sides.ours.trainer(self.config, self.prepared, cut)

    def _features(self, step: int) -> Features:
        return features(self.config, self.prepared, step, self.sides.rank)

    def _ours_takes(self, cut: Chunks) -> float:
        return timed(lambda: our_step(self._trainer(cut), 0)).cpu_seconds

    def _theirs_take(self, cut: MiniBatches) -> float:
        loss, rows = self.sides.peer.loss(cut), self._features(0)
        return timed(lambda: self.sides.peer.step(loss, rows)).cpu_seconds

    def _say(self, text: str) -> None:
        self.sides.say(f"{self.batch:,}, {self.name}: {text}", progress=True)


def listed(took: dict[Any, float]) -> str:
    return ", ".join(f"{cut}: {seconds:.2f} s" for cut, seconds in took.items())


def run_rank(rank: int, port: int, folder: Path, options: argparse.Namespace) -> None:
    """What each of the two processes does."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": WORLD_SIZE, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    config, prepared = open_workload(folder, GATE, GATE_BATCH)
    ours = Ours(config, Ranks(rank, WORLD_SIZE, rank), len(prepared.texts.tokenizer))
    sides = Sides(rank, folder, ours, Peer(folder / "base", config.train, options.width))
    sides.say(versions(options))
    sides.say(check_equal(sides))
    products = Products.measured(ours.backbone)
    tables = Tables(products)
    for batch in options.batches:
        for name in options.rows:
            one = Measurement(sides, name, batch)
            turns, our_cut, their_cut = one.run(options.turns)
            tables.add(batch, name, turns, our_cut, their_cut)
            tables.add_phases(batch, name, one.phases(our_cut))
    sides.say(
        f"N is {products.parameters:,}; {products.rate / 1e9:.0f} GFLOP a CPU second of a rank in its "
        f"products.\n\n{tables.text()}"
    )


def versions(options: argparse.Namespace) -> str:
    import deepspeed
    import sentence_transformers
    import transformers

    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"{torch.backends.cpu.get_cpu_capability()}; {WORLD_SIZE} ranks of one thread; qwen3, 6 layers x "
        f"{options.width}; ZeRO-{options.stage}; torch {torch.__version__}, transformers "
        f"{transformers.__version__}, deepspeed {deepspeed.__version__}, sentence-transformers "
        f"{sentence_transformers.__version__}; {options.turns} turns: median (range).\n"
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[256], help="rows of a global batch")
    parser.add_argument("--rows", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--width", type=int, default=256, help="of the model; 128 for large batches")
    parser.add_argument("--stage", type=int, choices=[0, 1, 2], default=0, help="ZeRO, of ours")
    parser.add_argument("--vocab-size", type=int, default=16_000)
    return parser.parse_args()


def main() -> int:
    options = parsed()
    if importlib.util.find_spec("sentence_transformers") is None:
        print("train_step.py needs sentence-transformers: pip install -e '.[benchmarks]'", file=sys.stderr)
        return 2
    os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    root = Path(os.environ.get("HBT_SHARED", "../shared")) / "data" / "xquad-r"
    with tempfile.TemporaryDirectory() as name:
        write_workloads(
            Path(name), root, width=options.width, vocab_size=options.vocab_size, stage=options.stage
        )
        try:
            torch.multiprocessing.spawn(run_rank, (free_port(), Path(name), options), nprocs=WORLD_SIZE)
        except torch.multiprocessing.ProcessExitedException:
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
