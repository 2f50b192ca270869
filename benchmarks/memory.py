"""Peak memory of a training rank against the global batch: cached gradients at one chunk size, beside plain.

python benchmarks/memory.py [--batches 256 1024 4096 16384] [--plain 256 1024] [--picture memory.svg]

Two ranks of one thread over gloo, new processes for every point, one step. What counts is how far the
resident memory of a rank rose in the step above what it was before (Linux; the larger of both). A small
random decoder with embeddings of 256; short made-up texts, each different. The picture shows the table.
"""

import argparse
import json
import logging
import os
import random
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml

from distributed_hbt.config.load import load_run
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.models.build import build_encoder
from distributed_hbt.train.assembly import build_inputs, build_objective
from distributed_hbt.train.chunked import ChunkedEncoder
from distributed_hbt.train.engine import build_engine, start_session
from distributed_hbt.train.loop import Trainer
from distributed_hbt.train.prepared import prepare

WORLD_SIZE = 2
DIMENSION = 256
CHUNK_TOKENS, BLOCK_COLUMNS = 2_048, 512
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Point:
    """`grown` and `before` in MB."""

    gradient: str
    batch: int
    tokens: int
    before: float
    grown: float
    seconds: float


def write_run(folder: Path, rows: int) -> Path:
    """Rows whose queries and passages are all different, and the run file."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnop", k=5)) for _ in range(500)]

    def text(length: int, number: int) -> str:
        return " ".join([*rng.choices(words, k=length), str(number)])

    with (folder / "train.jsonl").open("w", encoding="utf-8") as file:
        for i in range(rows):
            passage = {"docid": f"p{i}", "title": "", "text": text(rng.randint(6, 14), i)}
            row = {"group_id": f"g{i}", "query": text(rng.randint(3, 5), i), "positive_passages": [passage]}
            file.write(json.dumps({**row, "query_language": "en", "passage_language": "en"}) + "\n")
    architecture = {
        "model_type": "qwen3",
        "hidden_size": DIMENSION,
        "intermediate_size": 2 * DIMENSION,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": DIMENSION // 4,
    }
    run = {
        "name": "memory",
        "output_dir": str(folder / "runs"),
        "model": {
            "architecture": architecture,
            "tokenizer": {"train": {"vocab_size": 2_000}},
            "dtype": "float32",
        },
        "data": {"sources": [{"format": "hbt_jsonl", "path": str(folder / "train.jsonl")}]},
        "sampling": {"strategy": "x_x_mono"},
        "train": {
            "max_tokens_per_chunk": CHUNK_TOKENS,
            "loss_block_size": BLOCK_COLUMNS,
            "deepspeed": str(ROOT / "ds_configs/zero1.json"),
        },
    }
    run_file = folder / "run.yaml"
    run_file.write_text(yaml.safe_dump(run), encoding="utf-8")
    return run_file


def overrides(gradient: str, batch: int) -> list[str]:
    return [f"train.gradient={gradient}", f"train.global_batch_size={batch}"]


def run_rank(rank: int, port: int, run_file: Path, gradient: str, batch: int) -> None:
    """One step in a process of its own; leaves what it measured beside the run file."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": WORLD_SIZE, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    config = load_run(run_file, overrides(gradient, batch))
    prepared = prepare(config)
    session = start_session(config, Ranks(rank, WORLD_SIZE, rank))
    session.before_building(pretrained=False)
    encoder = build_encoder(config.model, config.seed, vocab_size=len(prepared.texts.tokenizer))
    engine = build_engine(session, ChunkedEncoder(encoder), config.train)
    inputs = build_inputs(config, session, prepared)
    trainer = Trainer(session, engine, inputs, build_objective(config), config.train, config.reduces_once)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    record, _ = trainer.step(inputs.make(0))
    point = Point(gradient, batch, record.real_tokens, before, memory("VmHWM") - before, record.seconds)
    assert record.num_negatives == batch - 1, "texts are repeated"
    result(run_file, rank).write_text(json.dumps(asdict(point)), encoding="utf-8")


def memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def result(run_file: Path, rank: int) -> Path:
    return run_file.with_name(f"rank-{rank}.json")


def measured(run_file: Path, gradient: str, batch: int) -> Point:
    """Of the rank that grew more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    torch.multiprocessing.spawn(run_rank, (port, run_file, gradient, batch), nprocs=WORLD_SIZE)
    points = [Point(**json.loads(result(run_file, rank).read_text())) for rank in range(WORLD_SIZE)]
    return max(points, key=lambda point: point.grown)


def table_row(p: Point) -> str:
    figures = f"{p.tokens:,} | {p.before:,.0f} | {p.grown:,.0f} | {p.seconds:.1f}"
    return f"| {p.gradient} | {p.batch:,} | {figures} |"


def slope(points: Sequence[Point]) -> float:
    """KB a row of the global batch, between the two largest batches."""
    smaller, larger = sorted(points, key=lambda point: point.batch)[-2:]
    return (larger.grown - smaller.grown) * 1024 / (larger.batch - smaller.batch)


def picture(points: Sequence[Point]) -> str:
    """The points as SVG, one line a kind of gradient."""
    width, height, left, bottom = 640, 360, 70, 50
    most_rows, most_mb = max(p.batch for p in points), max(p.grown for p in points) * 1.1

    def at(rows: float, mb: float) -> tuple[float, float]:
        x = left + rows / most_rows * (width - left - 80)
        return round(x, 1), round(height - bottom - mb / most_mb * (height - bottom - 30), 1)

    def label(x: float, y: float, text: str, anchor: str = "middle") -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'

    def lines() -> Iterator[str]:
        for rows in sorted({p.batch for p in points if p.batch * 8 > most_rows} | {0}):
            yield label(at(rows, 0)[0], height - bottom + 18, f"{rows:,}")
        for mb in (most_mb * part / 4 for part in range(5)):
            x, y = at(0, mb)
            yield f'<line x1="{x}" y1="{y}" x2="{at(most_rows, 0)[0]}" y2="{y}" stroke="#ddd"/>'
            yield label(x - 6, y + 4, f"{mb:,.0f}", "end")
        for gradient, colour in (("plain", "#c44"), ("cached", "#247")):
            line = sorted((p.batch, p.grown) for p in points if p.gradient == gradient)
            spots = [at(*one) for one in line]
            path = " ".join(f"{x},{y}" for x, y in spots)
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            yield from (f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>' for x, y in spots)
            yield label(spots[-1][0] + 10, spots[-1][1] + 4, gradient, "start")
        yield label(width / 2, height - 10, "rows of the global batch")
        yield label(left, 18, "MB a rank in a step", "start")

    body = "\n".join(lines())
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    style = 'font-family="sans-serif" font-size="13"'
    background = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{background}\n{body}\n</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[256, 1_024, 4_096, 16_384])
    parser.add_argument("--plain", type=int, nargs="+", default=[256, 1_024])
    parser.add_argument("--picture", type=Path, help="SVG file to write")
    options = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    wanted = [("cached", batch) for batch in options.batches] + [("plain", batch) for batch in options.plain]
    points = []
    print("| gradients | global batch | tokens | MB before the step | MB more in it | s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        run_file = write_run(Path(folder), max(batch for _, batch in wanted))
        prepare(load_run(run_file, overrides("cached", wanted[0][1])))
        for gradient, batch in wanted:
            points.append(measured(run_file, gradient, batch))
            print(table_row(points[-1]), flush=True)
    cached = [point for point in points if point.gradient == "cached"]
    print(
        f"\nChunks of {CHUNK_TOKENS:,} padded tokens, {BLOCK_COLUMNS} columns of scores at once, embeddings "
        f"of {DIMENSION}. A row more costs {slope(cached):.1f} KB with cached gradients; its two embeddings "
        f"are {2 * DIMENSION * 4 / 1024:.0f} KB."
    )
    if options.picture:
        options.picture.write_text(picture(points), encoding="utf-8")


if __name__ == "__main__":
    main()
