"""How long a checkpoint keeps training waiting: as DeepSpeed and safetensors write it, with checksums and on
the disk at once, and beside the steps.

python -m benchmarks.checkpoint [--layers 10] [--stage 2] [--repeats 7] [--folder DIR]

Two ranks of one thread over gloo on one machine; a random decoder in float32 with AdamW. The three ways take
turns; after each checkpoint as many steps as it takes to complete it. `plain` is what the product did before
it had checksums: nothing is forced to the disk, so that the page cache takes it. The table has medians and
ranges, of the slower rank.
"""

import argparse
import json
import logging
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from benchmarks.planner_cases import Case, _trainer, run_of
from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import save_encoder
from distributed_hbt.models.tokenizer import train_tokenizer
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.checkpoints.attempt import begin_attempt
from distributed_hbt.train.checkpoints.state import Saved, TrainState
from distributed_hbt.train.checkpoints.writer import CheckpointWriter
from distributed_hbt.train.weights import whole_weights

WORLD_SIZE = 2
WAYS = ("plain", "at once", "beside")
Times = dict[str, list[float]]


def run_rank(rank: int, folder: Path, options: argparse.Namespace) -> None:
    """Measure on one rank; the first writes what both found."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": WORLD_SIZE, "MASTER_PORT": options.port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    case = Case("qwen3", options.width, options.layers, options.stage, WORLD_SIZE, "plain", rows=2, query=12)
    config = run_of(case, _made(folder / f"files-{rank}"))
    trainer, inputs = _trainer(case, rank, config)
    for step in range(2):
        trainer.step(inputs.make(step))
    parameters = sum(p.numel() for p in trainer.engine.module.parameters())
    found = _measure(trainer, inputs, config, folder, options.repeats)
    of_all: list[Any] = [None] * WORLD_SIZE
    dist.all_gather_object(of_all, found)
    if rank == 0:
        slower = {key: list(map(max, *(of_one[key] for of_one in of_all))) for key in found}
        result = {"parameters": parameters, "bytes": max(found["bytes"]), "times": slower}
        (folder / "measured.json").write_text(json.dumps(result), encoding="utf-8")


def _measure(trainer: Any, inputs: Any, config: RunConfig, folder: Path, repeats: int) -> Times:
    """Seconds of every repeat: blocked, until complete, and a step meanwhile; and a step alone."""
    session, engine = trainer.session, trainer.engine
    manifest = EncoderManifest.from_config(
        config.model, embedding_dimension=engine.module.encoder.dimension, base=None
    )
    saved = Saved(train_tokenizer(iter(["a few words", "for a tokenizer"]), 300), manifest, False)
    times: Times = {"step": []}
    step = 2
    for repeat in range(repeats):
        for way in WAYS[repeat % 3 :] + WAYS[: repeat % 3]:
            times["step"].append(_seconds(lambda s=step: trainer.step(inputs.make(s))))
            step += 1
            state = TrainState(step, "x", 1, WORLD_SIZE, session.stage, "", "", None)
            here = _made(folder / way.replace(" ", "-") / str(repeat))
            dist.barrier()
            began = time.perf_counter()
            if way == "plain":
                _plain(trainer, here, saved)
                blocked, meanwhile = time.perf_counter() - began, []
            else:
                settings = config.model_dump(mode="json")
                settings["train"]["checkpoints"]["asynchronous"] = way == "beside"
                attempt = begin_attempt(RunDirectory(here), session.ranks)
                began = time.perf_counter()
                with CheckpointWriter(validate(settings), session, attempt, saved) as writer:
                    writer.save(engine, state)
                    blocked, meanwhile = time.perf_counter() - began, []
                    while way == "beside" and not _is_complete(RunDirectory(here), step):
                        meanwhile.append(_seconds(lambda: trainer.step(inputs.make(2))))
            times.setdefault(f"{way}: blocked", []).append(blocked)
            times.setdefault(f"{way}: complete", []).append(time.perf_counter() - began)
            times.setdefault(f"{way}: step", []).append(statistics.mean(meanwhile or [0.0]))
            times.setdefault("bytes", []).append(_size(here))
            dist.barrier()
            if session.ranks.is_first:
                shutil.rmtree(here)
    return times


def _plain(trainer: Any, folder: Path, saved: Saved) -> None:
    engine, ranks = trainer.engine, trainer.session.ranks
    engine.save_checkpoint(str(folder), tag="engine", save_latest=False)
    weights = whole_weights(engine, ranks, trainable_only=False)
    if ranks.is_first:
        save_encoder(folder / "encoder", engine.module.encoder, saved.tokenizer, saved.manifest, weights)
    dist.barrier()


def _is_complete(directory: RunDirectory, step: int) -> bool:
    """As the first rank sees it: both do the same steps."""
    seen = [directory.is_complete(step)]
    dist.broadcast_object_list(seen)
    return seen[0]


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table(result: dict[str, Any]) -> str:
    """Of milliseconds: the median (lowest to highest)."""
    times: Times = result["times"]

    def cell(name: str) -> str:
        values = [1e3 * value for value in times[name] if value]
        if not values:
            return "-"
        return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"

    lines = [
        f"{result['parameters'] / 1e6:.0f}M parameters, checkpoints of {result['bytes'] / 1e9:.2f} GB, "
        f"{WORLD_SIZE} ranks; a step alone takes {cell('step')} ms",
        "",
        "| written | training waits, ms | complete after, ms | a step meanwhile, ms |",
        "|---|---|---|---|",
    ]
    for way in WAYS:
        cells = (cell(f"{way}: {what}") for what in ("blocked", "complete", "step"))
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--stage", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--port", type=int, default=29_513)
    parser.add_argument("--folder", type=Path, help="on the disk that is measured; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        torch.multiprocessing.spawn(run_rank, (Path(folder), options), nprocs=WORLD_SIZE)
        result = json.loads((Path(folder) / "measured.json").read_text(encoding="utf-8"))
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
