"""Rows to mine for, and a folder to mine in."""

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.evaluation.encode import encode
from distributed_hbt.evaluation.encoder_choice import encoder_choice
from distributed_hbt.evaluation.jobs.job import Executor, Job
from distributed_hbt.evaluation.jobs.local import LocalExecutor
from distributed_hbt.evaluation.jobs.worker import EncoderChoice
from distributed_hbt.mining.mine import mine
from distributed_hbt.mining.summary import Summary
from distributed_hbt.models.saved import load_encoder
from tests.corpus_files import passage, write_lines

Row = dict[str, Any]
WORDS = {
    "en": ["river", "island", "city", "mountain", "king", "war", "song", "bridge", "ship", "winter"],
    "de": ["Fluss", "Insel", "Stadt", "Berg", "Koenig", "Krieg", "Lied", "Bruecke", "Schiff", "Winter"],
    "sw": ["mto", "kisiwa", "mji", "mlima", "mfalme", "vita", "wimbo", "daraja", "meli", "baridi"],
}


def sentence(language: str, seed: str) -> str:
    draw = random.Random(f"{language} {seed}")
    return " ".join(draw.choices(WORDS[language], k=draw.randint(3, 9)))


def row(group: str, languages: str = "en-en", **changes: Any) -> Row:
    """One positive, `p-<group>-<language>`, and one negative."""
    asked, answered = languages.split("-")
    content = {
        "group_id": group,
        "query": f"{sentence(asked, f'q{group}')} ?",
        "query_language": asked,
        "passage_language": answered,
        "positive_passages": [
            passage(f"p-{group}-{answered}", sentence(answered, f"p{group}"), f"title {group}")
        ],
        "negative_passages": [passage(f"n-{group}-{answered}", sentence(answered, f"n{group}"))],
    }
    return content | changes


ROWS = [row(f"g{n}", f"{language}-{language}") for n in range(14) for language in ("en", "de")]
ROWS += [row("g3", "de-en"), row("g20", "sw-en"), row("g21", "sw-sw")]


@dataclass
class Bench:
    """A folder to mine in."""

    folder: Path
    checkpoint: Path

    def config(self, rows: Sequence[Row] = ROWS, **settings: Any) -> RunConfig:
        """`settings` are those of mining; `seed` is the run's, `shard_rows` the evaluation's."""
        source = write_lines(self.folder / "rows.jsonl", *rows)
        seed, shard_rows = settings.pop("seed", 13), settings.pop("shard_rows", 7)
        return validate(
            {
                "name": "run",
                "output_dir": str(self.folder / "runs"),
                "seed": seed,
                "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": "of the checkpoint"},
                "data": {"sources": [{"format": "hbt_jsonl", "path": str(source)}]},
                "evaluation": {"shard_rows": shard_rows, "max_tokens_per_batch": 256},
                "mining": {"num_negatives": 4, **settings},
            }
        )

    def encoder(self, config: RunConfig) -> EncoderChoice:
        return encoder_choice(config.evaluation, self.checkpoint)

    def mine(
        self, config: RunConfig, out: str = "out.jsonl", executor: Executor | None = None
    ) -> tuple[list[Row], Summary]:
        path = self.folder / out
        summary = mine(config, self.encoder(config), path, executor or LocalExecutor("cpu"))
        assert not path.with_name(f"{out}.work").exists()
        content = gzip.decompress(path.read_bytes()) if out.endswith(".gz") else path.read_bytes()
        return [json.loads(line) for line in content.decode().splitlines()], summary

    def scores(self, queries: Sequence[str], passages: Sequence[Row]) -> np.ndarray:
        """Of every query with every passage, each text alone in its batch."""
        loaded = load_encoder(self.checkpoint / "encoder")

        def embed(tokens: list[list[int]]) -> np.ndarray:
            return encode(loaded.encoder, loaded.texts, tokens, max_tokens_per_batch=1)

        texts = [f"{p['title']} {p['text']}" if p["title"] else p["text"] for p in passages]
        return embed(loaded.texts.queries(queries)) @ embed(loaded.texts.passages(texts)).T


def negatives(mined: Row) -> list[str]:
    return [negative["docid"] for negative in mined["negative_passages"]]


def own_corpus(rows: Sequence[Row]) -> dict[str, tuple[str, Row]]:
    """docid -> (language, passage) of all passages of the rows."""
    return {
        one["docid"]: (of["passage_language"], one)
        for of in rows
        for one in of["positive_passages"] + of["negative_passages"]
    }


class Backwards:
    """Does jobs from the last to the first; as several workers might."""

    def __init__(self, stop_after: int | None = None) -> None:
        """`stop_after` so many jobs the process is killed."""
        self._local = LocalExecutor("cpu")
        self._left = stop_after
        self.ran: list[Path] = []

    def run(self, jobs: Sequence[Job], label: str) -> None:
        for job in list(jobs)[::-1]:
            if self._left == len(self.ran):
                raise KeyboardInterrupt
            if not job.output.exists():
                self.ran.append(job.output)
                self._local.run([job], label)


def write_corpora(folder: Path, **corpora: Sequence[Row]) -> dict[str, str]:
    for language, rows in corpora.items():
        half = len(rows) // 2
        write_lines(folder / language / "docs-0.jsonl.gz", *rows[:half])
        write_lines(folder / language / "docs-1.jsonl.gz", *rows[half:])
    return {language: str(folder / language) for language in corpora}
