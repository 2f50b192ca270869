"""Training steps while the pool evaluates and while it does not, side by side: `hbt submit`, two cores.

python benchmarks/concurrency.py [--repeats 3]

One rank and one evaluation actor, a core each. The checkpoint of step 60 is evaluated on a generated corpus
while steps 61 to 300 are trained (`beside`), or once they are done (`after`); the two are interleaved.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import yaml

PASSAGES = 60_000
CHECKPOINT, STEPS = 100, 200
HBT = Path(sys.executable).parent / "hbt"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    folder = Path(tempfile.mkdtemp(prefix="hbt-concurrency-"))
    try:
        write_data(folder)
        medians: dict[str, list[float]] = {"beside": [], "after": []}
        counts = []
        for repeat in range(repeats):
            for placement in medians:
                seconds, during = run(folder, f"{placement}-{repeat}", placement)
                chosen = [seconds[step] for step in sorted(during or seconds) if step > CHECKPOINT + 5]
                medians[placement].append(statistics.median(chosen))
                if placement == "beside":
                    counts.append(len(during))
        report(medians, counts)
    finally:
        shutil.rmtree(folder)


def report(medians: dict[str, list[float]], counts: list[int]) -> None:
    print("| | median step, ms, of each run |")
    print("|---|---|")
    for placement, label in (
        ("beside", "while the pool evaluates"),
        ("after", "the same steps, no evaluation"),
    ):
        print(f"| {label} | {', '.join(f'{second * 1000:.0f}' for second in medians[placement])} |")
    ratios = [a / b for a, b in zip(medians["beside"], medians["after"], strict=True)]
    print(f"\nratio, median of {len(ratios)} pairs: {statistics.median(ratios):.3f} ", end="")
    print(f"({min(ratios):.3f} to {max(ratios):.3f}); steps during the evaluation: {counts}")


def run(folder: Path, name: str, placement: str) -> tuple[dict[int, float], set[int]]:
    """(step -> seconds, the steps that ended while the evaluation of the checkpoint went on)."""
    run_file = folder / f"{name}.yaml"
    run_file.write_text(yaml.safe_dump(content(folder, name, placement)))
    directory = folder / "runs" / name
    ended: dict[int, float] = {}
    process = subprocess.Popen([HBT, "submit", run_file], env={**os.environ, "OMP_NUM_THREADS": "1"})
    watcher = threading.Thread(target=watch, args=(directory / "train.jsonl", ended, process))
    watcher.start()
    if process.wait():
        raise SystemExit(f"{name} failed")
    watcher.join()
    lines = [json.loads(line) for line in (directory / "train.jsonl").read_text().splitlines()]
    during: set[int] = set()
    if placement == "beside":
        began = (directory / "checkpoints" / f"step-{CHECKPOINT:08d}" / "COMPLETE").stat().st_mtime
        summary = directory / "evaluation" / f"step-{CHECKPOINT:08d}" / "beir" / "summary.json"
        until = summary.stat().st_mtime
        during = {step for step, at in ended.items() if began < at < until}
    return {line["step"]: line["seconds"] for line in lines}, during


def watch(log: Path, ended: dict[int, float], process: "subprocess.Popen[bytes]") -> None:
    """Notes when each step's line came."""
    while process.poll() is None:
        if log.exists():
            for step in range(len(ended) + 1, log.read_bytes().count(b"\n") + 1):
                ended[step] = time.time()
        time.sleep(0.02)


def write_data(folder: Path) -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(5_000)]

    def text(length: int) -> str:
        return " ".join(rng.choices(words, k=length))

    with (folder / "train.jsonl").open("w") as file:
        for i in range(4_000):
            passage = {"docid": f"t{i}", "title": "", "text": text(20)}
            row = {"group_id": f"g{i}", "query": text(6), "positive_passages": [passage]}
            file.write(json.dumps({**row, "query_language": "en", "passage_language": "en"}) + "\n")
    beir = folder / "beir"
    (beir / "qrels").mkdir(parents=True)
    with (beir / "corpus.jsonl").open("w") as file:
        for i in range(PASSAGES):
            file.write(json.dumps({"_id": f"d{i}", "title": "", "text": text(rng.randint(5, 25))}) + "\n")
    with (beir / "queries.jsonl").open("w") as file:
        file.writelines(json.dumps({"_id": f"q{i}", "text": text(6)}) + "\n" for i in range(300))
    lines = "".join(f"q{i}\td{i}\t1\n" for i in range(300))
    (beir / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    (folder / "zero1.json").write_text('{"zero_optimization": {"stage": 1}}')


def content(folder: Path, name: str, placement: str) -> dict[str, Any]:
    architecture = {
        "model_type": "qwen3",
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
    }
    beir = {"name": "beir", "label": "beir", "path": str(folder / "beir")}
    return {
        "name": name,
        "output_dir": str(folder / "runs"),
        "model": {
            "architecture": architecture,
            "tokenizer": {"train": {"vocab_size": 4000}},
            "dtype": "float32",
            "max_query_length": 32,
            "max_passage_length": 64,
        },
        "data": {"sources": [{"format": "hbt_jsonl", "path": str(folder / "train.jsonl")}]},
        "sampling": {"strategy": "x_x_mono"},
        "train": {
            "max_steps": STEPS,
            "global_batch_size": 64,
            "learning_rate": 1e-4,
            "warmup_steps": 10,
            "max_tokens_per_chunk": 2048,
            "checkpoint_every": CHECKPOINT,
            "deepspeed": str(folder / "zero1.json"),
        },
        "evaluation": {
            "every": CHECKPOINT,
            "depth": 100,
            "shard_rows": 5_000,
            "max_tokens_per_batch": 8192,
            "benchmarks": [beir] if placement == "beside" else [],
        },
        "cluster": {
            "num_workers": 1,
            "gpus_per_worker": 0,
            "evaluation_actors": 1,
            "evaluation_placement": placement,
        },
    }


if __name__ == "__main__":
    main()
