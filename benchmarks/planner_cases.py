"""What benchmarks/planner.py measures: tiny runs through the product's engine, a process a rank.

Memory is what torch has allocated on the CPU: all tensors that are alive before a step, and how far the
allocator's balance rises in it (torch's profiler sees every allocation). Time is CPU time of a rank with one
thread, so that other work on the machine does not count.
"""

import gc
import json
import logging
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_sides import Padding
from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.data.chunks import cut_alike, padded_tokens
from distributed_hbt.data.rank_batch import RankBatch
from distributed_hbt.losses.info_nce import Columns
from distributed_hbt.planner.texts import Lengths, Workload, workload_of
from distributed_hbt.train.phases import not_measured

VOCABULARY = 2_000
STEPS = 4


@dataclass(frozen=True)
class Case:
    """A run. `kind` is a model type; `bucket` ZeRO's, in elements; texts are of `query` and `passage` tokens
    at most, drawn between a third of that and all of it."""

    kind: str
    width: int
    layers: int
    stage: int
    ranks: int
    gradient: str
    lora: bool = False
    checkpointing: bool = False
    rows: int = 32
    chunk: int = 1_024
    query: int = 24
    passage: int = 96
    dtype: str = "float32"
    bucket: int = 100_000

    def __str__(self) -> str:
        extras = [", LoRA" if self.lora else "", ", recomputed" if self.checkpointing else ""]
        form = f"{self.kind} {self.layers} x {self.width}, {self.dtype}"
        return f"{form}, {self.gradient}{''.join(extras)}, ZeRO-{self.stage}, {self.ranks}"


@dataclass(frozen=True)
class Measured:
    """Bytes of rank 0 and CPU seconds. `kept` between two steps, `gradients` more after a backward, `peak` at
    most in a step."""

    kept: int
    gradients: int
    peak: int
    seconds: float


def architecture(case: Case) -> dict[str, Any]:
    """As model.architecture."""
    fields: dict[str, Any] = {
        "model_type": case.kind,
        "vocab_size": VOCABULARY,
        "hidden_size": case.width,
        "intermediate_size": 3 * case.width,
        "num_hidden_layers": case.layers,
        "num_attention_heads": 4,
    }
    if case.kind == "xlm-roberta":
        return {**fields, "max_position_embeddings": 512, "hidden_dropout_prob": 0.1}
    heads = {"num_key_value_heads": 2, "head_dim": case.width // 4}
    return {**fields, **heads, "max_position_embeddings": 512}


def zero_file(case: Case, folder: Path) -> Path:
    """A ds_configs file with buckets that suit the model."""
    zero: dict[str, Any] = {"stage": case.stage}
    if case.stage:
        zero |= {"overlap_comm": True, "contiguous_gradients": True, "reduce_bucket_size": case.bucket}
    if case.stage == 3:
        zero |= {"stage3_prefetch_bucket_size": 0, "stage3_param_persistence_threshold": 1_000}
    path = folder / f"zero{case.stage}-{case.bucket}.json"
    path.write_text(json.dumps({"zero_optimization": zero}), encoding="utf-8")
    return path


def run_of(case: Case, folder: Path) -> RunConfig:
    """The run of a case, as a run file would have it."""
    encoder = case.kind == "xlm-roberta"
    model: dict[str, Any] = {
        "architecture": architecture(case),
        "tokenizer": "none is asked for",
        "dtype": case.dtype,
        "attention": "bidirectional" if encoder else "causal",
        "pooling": "mean" if encoder else "last_token",
        "max_query_length": case.query,
        "max_passage_length": case.passage,
    }
    if case.lora:
        model["lora"] = {"rank": 8, "alpha": 16.0}
    train = {
        "global_batch_size": case.rows * case.ranks,
        "gradient": case.gradient,
        "max_tokens_per_chunk": case.chunk,
        "activation_checkpointing": case.checkpointing,
        "deepspeed": str(zero_file(case, folder)),
    }
    data = {"sources": [{"format": "hbt_jsonl", "path": "none is read"}]}
    cluster = {"num_workers": case.ranks, "gpus_per_worker": 0}
    return validate({"name": "planned", "model": model, "data": data, "train": train, "cluster": cluster})


@dataclass(frozen=True)
class MadeUpBatches:
    """In the place of the product's batches, for one rank: a function of the step."""

    case: Case
    rank: int

    def lengths(self, step: int, rank: int) -> Lengths:
        """Of the queries, then the passages."""
        generator = np.random.default_rng([step, rank])
        parts = [
            generator.integers(n // 3, n + 1, self.case.rows) for n in (self.case.query, self.case.passage)
        ]
        return np.concatenate(parts)

    def batch(self, step: int) -> RankBatch:
        case = self.case
        by_rank = [self.lengths(step, rank) for rank in range(case.ranks)]
        chunks = cut_alike(by_rank, case.chunk)[self.rank]
        lengths, own_B = by_rank[self.rank], torch.arange(case.rows) + self.rank * case.rows
        generator = np.random.default_rng([step, self.rank, 1])
        return RankBatch(
            step=step,
            kind="random",
            languages=(),
            sequences=tuple(generator.integers(10, VOCABULARY, n, dtype=np.int32) for n in lengths),
            chunks=tuple(chunks),
            query_counts=(case.rows,) * case.ranks,
            passage_counts=(case.rows,) * case.ranks,
            passages=Columns(own_B, torch.empty(2, 0, dtype=torch.int64)),
            queries=None,
            own_BP=own_B[:, None],
            score_BP=torch.full((case.rows, 1), torch.nan),
            real_tokens=int(lengths.sum()),
            padded_tokens=padded_tokens(chunks, lengths),
            repeated_tokens=0,
            query_entries=np.arange(case.rows),
            global_query_entries=np.arange(case.rows),
        )

    def workload(self, step: int, config: RunConfig) -> Workload:
        """What the planner takes in the place of assumed lengths."""
        return workload_of(self.lengths(step, self.rank), self.case.rows, config)


def measured(cases: Sequence[Case], folder: Path) -> dict[Case, Measured]:
    """Of rank 0; one set of processes for each number of ranks."""
    found = {}
    for ranks in sorted({case.ranks for case in cases}):
        some = [case for case in cases if case.ranks == ranks]
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        torch.multiprocessing.spawn(_run_rank, (port, some, folder), nprocs=ranks)
        results = json.loads((folder / "measured.json").read_text(encoding="utf-8"))
        found |= {case: Measured(**result) for case, result in zip(some, results, strict=True)}
    return found


def _run_rank(rank: int, port: int, cases: Sequence[Case], folder: Path) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": cases[0].ranks, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    (folder / str(rank)).mkdir(exist_ok=True)
    results = []
    for case in cases:
        results.append(asdict(measure(case, rank, folder / str(rank))))
        print(f"{case}: {results[-1]}", file=sys.stderr, flush=True)
    if rank == 0:
        (folder / "measured.json").write_text(json.dumps(results), encoding="utf-8")


def measure(case: Case, rank: int, folder: Path, timed: int = STEPS) -> Measured:
    """One case on this rank of a process group; every rank must call it. `timed` steps are timed."""
    left_over = bytes_alive()
    trainer, inputs = _trainer(case, rank, run_of(case, folder))
    for step in range(2):  # the first makes the optimizer's state
        trainer.step(inputs.make(step))
    seconds = [_cpu_seconds(trainer, inputs.make(2)) for _ in range(timed)]
    given = inputs.make(2)
    before = bytes_alive()
    trainer._backward(given, not_measured)
    gradients = bytes_alive() - before
    trainer.engine.step()
    kept = bytes_alive()
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        trainer.step(given)
    trainer.engine.destroy()
    texts = sum(tensor.nbytes for chunk in given.chunks for tensor in chunk.tensors())
    peak = kept - left_over + highest_balance(profile)
    return Measured(before - left_over - texts, gradients, peak, statistics.median(seconds))


def _trainer(case: Case, rank: int, config: RunConfig) -> tuple[Any, Any]:
    from accelerate.state import AcceleratorState

    from distributed_hbt.distributed.process_group import Ranks
    from distributed_hbt.models.build import build_encoder
    from distributed_hbt.train.assembly import adapt_layers, build_objective
    from distributed_hbt.train.chunked import ChunkedEncoder
    from distributed_hbt.train.engine import build_engine, start_session
    from distributed_hbt.train.inputs import InputMaker
    from distributed_hbt.train.loop import Trainer

    AcceleratorState._reset_state(reset_partial_state=True)  # one Accelerator after the other
    session = start_session(config, Ranks(rank, case.ranks, rank))
    session.before_building(pretrained=False)
    encoder = build_encoder(config.model, config.seed)
    adapt_layers(encoder, config.train, session)
    engine = build_engine(session, ChunkedEncoder(encoder), config.train)
    del encoder
    source: Any = MadeUpBatches(case, rank)
    padding: Any = Padding()
    inputs = InputMaker(source, padding, 1, rank, config.train.loss_block_size, session.device)
    objective = build_objective(config)
    return Trainer(session, engine, inputs, objective, config.train, config.reduces_once), inputs


def _cpu_seconds(trainer: Any, given: Any) -> float:
    began = time.process_time()
    trainer.step(given)
    return time.process_time() - began


def bytes_alive() -> int:
    """Of all tensors that Python knows."""
    from torch._subclasses.fake_tensor import FakeTensor

    gc.collect()
    found: dict[int, int] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        if not issubclass(kind, torch.Tensor) or issubclass(kind, FakeTensor):
            continue  # a fake one has no bytes; torch.compile keeps some, of sizes that are symbols
        if thing.device.type == "cpu":
            storage = thing.untyped_storage()
            found[storage._cdata] = storage.nbytes()
    return sum(found.values())


def highest_balance(profile: Any) -> int:
    """How far the allocator's balance rose above where the profile began."""
    most = balance = 0
    for _, size in sorted(_allocations(profile)):
        balance += size
        most = max(most, balance)
    return most


def _allocations(profile: Any) -> Iterator[tuple[int, int]]:
    """(time, bytes), negative when freed."""
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]" and event.device_type() == torch.profiler.DeviceType.CPU:
            yield event.start_ns(), event.nbytes()
