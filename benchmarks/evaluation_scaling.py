"""Evaluation against the number of actors and the size of the corpus: seconds, and an actor's peak memory.

python benchmarks/evaluation_scaling.py [--sizes 50000 500000] [--actors 1 2] [--repeats 3]

One thread an actor. A small random decoder, passages of 3 to 30 words in MIRACL's files, 500 queries,
depth 100. Timed are the shards; survey, queries and the start of the actors are not.
"""

import argparse
import gzip
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from distributed_hbt.config.evaluation import EvaluationConfig
from distributed_hbt.config.model import ModelConfig, TokenizerConfig, TrainTokenizer
from distributed_hbt.config.run import ClusterConfig
from distributed_hbt.coordinator.cluster import connected
from distributed_hbt.coordinator.evaluation_pool import RayExecutor
from distributed_hbt.evaluation.benchmarks.collection import Entry
from distributed_hbt.evaluation.corpus.files import CorpusFile
from distributed_hbt.evaluation.corpus_search import CorpusQueries, Places, search_corpora, survey_corpora
from distributed_hbt.evaluation.fingerprint import encoder_fingerprint
from distributed_hbt.evaluation.jobs.job import Job
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import save_encoder
from distributed_hbt.models.tokenizer import train_tokenizer

SETTINGS = EvaluationConfig(depth=100, shard_rows=5_000, max_tokens_per_batch=8_192)
FILE_ROWS = 50_000


class Timed:
    """An executor that remembers how long each list of jobs took."""

    def __init__(self, executor: RayExecutor) -> None:
        self._executor = executor
        self.seconds: dict[str, float] = {}

    def run(self, jobs: Sequence[Job], label: str) -> None:
        began = time.perf_counter()
        self._executor.run(jobs, label)
        self.seconds[label] = time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[50_000, 500_000])
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hbt-scaling-"))
    try:
        encoder = write_encoder(folder / "encoder")
        print("| passages | actors | s, median (range) | passages/s | peak memory of an actor, MB |")
        print("|---|---|---|---|---|")
        for size in options.sizes:
            corpus = tuple(write_corpus(folder / f"corpus-{size}", size))
            for actors in options.actors:
                measure(folder, corpus, encoder, size, actors, options.repeats)
    finally:
        shutil.rmtree(folder)


def measure(
    folder: Path, corpus: tuple[CorpusFile, ...], encoder: EncoderChoice, size: int, actors: int, repeats: int
) -> None:
    cluster = ClusterConfig(gpus_per_worker=0, evaluation_actors=actors)
    seconds = []
    with connected(None), RayExecutor(cluster, max_attempts=1) as pool:
        executor = Timed(pool)
        (surveys,) = survey_corpora([corpus], SETTINGS, folder, executor)
        request = CorpusQueries("en", queries(), {}, surveys, SETTINGS.depth)
        for repeat in range(repeats + 1):  # the first starts the actors and loads the encoder
            work = folder / f"work-{repeat}"
            search_corpora([request], encoder, SETTINGS, Places(work, folder), executor, "shards")
            seconds.append(executor.seconds["shards"])
            shutil.rmtree(work)
        peak = max(peak_memory())
    middle = statistics.median(seconds[1:])
    spread = f"{min(seconds[1:]):.1f} to {max(seconds[1:]):.1f}"
    print(
        f"| {size:,} | {actors} | {middle:.1f} ({spread}) | {size / middle:,.0f} | {peak:.0f} |", flush=True
    )


def peak_memory() -> Iterator[float]:
    """Of each evaluation actor, in MB, since it started."""
    for process in psutil.process_iter():
        try:
            if "EvaluationActor" not in " ".join(process.cmdline()):
                continue
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        except (psutil.Error, OSError):
            continue  # it has ended meanwhile
        yield next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def texts(seed: str, count: int, shortest: int, longest: int) -> Iterator[str]:
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(20_000)]
    for _ in range(count):
        yield " ".join(rng.choices(words, k=rng.randint(shortest, longest)))


def queries() -> tuple[Entry, ...]:
    return tuple(Entry(f"q{i}", text) for i, text in enumerate(texts("queries", 500, 3, 9)))


def write_corpus(folder: Path, size: int) -> Iterator[CorpusFile]:
    folder.mkdir()
    rows = enumerate(texts("passages", size, 3, 30))
    for number in range(-(-size // FILE_ROWS)):
        path = folder / f"docs-{number}.jsonl.gz"
        with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
            for i, text in (next(rows) for _ in range(min(FILE_ROWS, size - number * FILE_ROWS))):
                file.write(json.dumps({"docid": f"{i}#0", "title": "", "text": text}) + "\n")
        yield CorpusFile(path, "docid")


def write_encoder(folder: Path) -> EncoderChoice:
    model = ModelConfig(
        architecture={
            "model_type": "qwen3",
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 32,
        },
        tokenizer=TokenizerConfig(train=TrainTokenizer(vocab_size=4_000)),
        dtype="float32",
        max_passage_length=128,
    )
    tokenizer = train_tokenizer(texts("passages", 5_000, 3, 30), 4_000)
    encoder = build_encoder(model, seed=1, vocab_size=len(tokenizer))
    manifest = EncoderManifest.from_config(model, embedding_dimension=64)
    save_encoder(folder, encoder, tokenizer, manifest, encoder.state_dict())
    return EncoderChoice(folder, encoder_fingerprint(folder), None, SETTINGS.max_tokens_per_batch)


if __name__ == "__main__":
    main()
