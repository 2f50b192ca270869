"""How long MIRACL's 106 million passages take with a 7B encoder on 8, 64 and 512 GPUs: a calculation.

The rates of the work on CPUs are measured here, on generated passages of MIRACL's length; those of the GPU
are assumptions, which are printed. python benchmarks/miracl_106m.py
"""

import gzip
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from distributed_hbt.evaluation.corpus.files import CorpusFile, read_rows
from distributed_hbt.evaluation.corpus.survey import survey_file
from distributed_hbt.evaluation.hits import ShardHits, Wanted, merge
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.models.tokenizer import train_tokenizer
from distributed_hbt.planner.evaluation_time import CORPORA, TOKENS_A_PASSAGE

PASSAGES = sum(millions for millions, _ in CORPORA.values()) * 1e6
PARAMETERS = 6.5e9  # of a 7B decoder, without the embedding matrix and the head
DIMENSION = 4096
PEAK_FLOPS = 989e12  # H100 SXM, dense bf16
EFFICIENCIES = (0.3, 0.5)  # of the peak: what training frameworks reach, and a forward that is well fed
LOAD_SECONDS = 60.0  # a worker's start: process, imports, 14 GB of weights at 0.5 GB/s
FILE_ROWS = 500_000  # MIRACL's docs-*.jsonl.gz
GPUS = (8, 64, 512)
SHARD_ROWS = (20_000, 5_000)
DEPTH = 1000

ROWS = 100_000
REPEATS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        rates = measured(Path(name))
    print(f"Measured on this machine, one thread each ({ROWS:,} passages, best of {REPEATS}):\n")
    for label, rate in rates.items():
        print(f"- {label}: {rate:,.0f} a second")
    print_table(rates)


def measured(folder: Path) -> dict[str, float]:
    """Rows (or tokens, or shards) a second of the work around the GPU."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 10))) for _ in range(20_000)]
    texts = [" ".join(rng.choices(words, k=75)) for _ in range(ROWS)]
    path = folder / "docs-0.jsonl.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for i, text in enumerate(texts):
            file.write(json.dumps({"docid": f"{i}#0", "title": words[i % 1000], "text": text}) + "\n")
    corpus = CorpusFile(path, "docid")
    rates = {
        "survey, rows": ROWS / best(lambda: survey_file(corpus, folder / "survey", max_characters=500_000)),
        "read, rows": ROWS / best(lambda: drain(corpus, 0, ROWS)),
        "skip, rows": ROWS / best(lambda: drain(corpus, ROWS - 1, ROWS)),
    }
    tokenizer = train_tokenizer(iter(texts[:2000]), 8_000)
    encoder = TextEncoder(tokenizer, _Settings())
    tokens = sum(map(len, encoder.passages(texts[:10_000])))
    rates["tokenize, tokens"] = tokens / best(lambda: encoder.passages(texts[:10_000]))
    parts = generated_hits(200)
    rates["merge, shards of 800 queries"] = len(parts) / best(
        lambda: merge(parts, Wanted.nothing(800), DEPTH)
    )
    return rates


class _Settings:
    pooling, padding_side, append_eos = "last_token", "right", True
    query_prompt = passage_prompt = ""
    max_query_length = max_passage_length = 256


def drain(corpus: CorpusFile, start: int, stop: int) -> None:
    for _ in read_rows(corpus, start, stop, max_characters=500_000):
        pass


def generated_hits(count: int) -> list[ShardHits]:
    """Of shards of 20,000 passages, for 800 queries at depth 1,000, with random scores."""
    rng = np.random.default_rng(1)
    parts = []
    for shard in range(count):
        score_QK = -np.sort(-rng.random((800, DEPTH), np.float32), axis=1)
        ids = tuple(f"{shard}-{i}" for i in range(20_000))
        column_QK = rng.integers(0, 20_000, (800, DEPTH))
        parts.append(ShardHits(score_QK, column_QK, ids, np.zeros((800, 0), np.int64)))
    return parts


def best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def print_table(rates: dict[str, float]) -> None:
    tokens = PASSAGES * TOKENS_A_PASSAGE
    search = sum(2 * DIMENSION * millions * 1e6 * queries for millions, queries in CORPORA.values())
    print(
        f"\n{PASSAGES / 1e6:.0f}M passages, {tokens / 1e9:.1f}B tokens; {2 * PARAMETERS * tokens:.2e} FLOPs"
    )
    print(f"to encode them, {search:.2e} to score every query against its corpus.\n")
    print("| GPUs | of the peak | passages/s a GPU | rows a shard | shards a GPU | hours | GPU hours |")
    print("|---|---|---|---|---|---|---|")
    for gpus in GPUS:
        for efficiency in EFFICIENCIES:
            for rows in SHARD_ROWS:
                print_row(gpus, efficiency, rows, rates, search)


def print_row(gpus: int, efficiency: float, rows: int, rates: dict[str, float], search: float) -> None:
    """Workers take shards until none is left, so the slowest does ceil(shards / GPUs) of them."""
    rate = efficiency * PEAK_FLOPS / (2 * PARAMETERS * TOKENS_A_PASSAGE)
    shards = sum(-(-int(millions * 1e6) // rows) for millions, _ in CORPORA.values())
    skip = FILE_ROWS / 2 / rates["skip, rows"]  # half a file, on average, before the shard's first row
    a_shard = skip + rows / rate + search / PASSAGES * rows / (efficiency * PEAK_FLOPS)
    rounds = -(-shards // gpus)
    survey = PASSAGES / rates["survey, rows"] / gpus
    largest = max(millions for millions, _ in CORPORA.values()) * 1e6 / rows
    merging = largest / rates["merge, shards of 800 queries"]  # languages at the same time
    hours = (LOAD_SECONDS + survey + rounds * a_shard + merging) / 3600
    print(
        f"| {gpus} | {efficiency:.0%} | {rate:.0f} | {rows:,} | {rounds} | {hours:.2f} | {hours * gpus:.0f} |"
    )


if __name__ == "__main__":
    main()
