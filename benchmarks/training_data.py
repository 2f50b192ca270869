"""Model, rows and workloads of benchmarks/train_step.py, as both sides read them."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from distributed_hbt.config.evaluation import XQUAD_R_LANGUAGES
from distributed_hbt.config.load import load_run
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import save_encoder
from distributed_hbt.models.text import TextEncoder
from distributed_hbt.models.tokenizer import load_tokenizer, train_tokenizer
from distributed_hbt.train.prepared import Prepared, prepare

ROOT = Path(__file__).resolve().parents[1]
GATE, SHARED, DISTINCT, SAME_LENGTH = "gate", "shared", "distinct", "uniform"
WORKLOADS = (SHARED, DISTINCT, SAME_LENGTH)
"""Questions with paragraphs that they share; one question a paragraph; the same with uniform lengths."""
LENGTHS = {GATE: (64, 64), SHARED: (64, 256), DISTINCT: (64, 256), SAME_LENGTH: (16, 128)}
"""The largest query and passage, in tokens; of SAME_LENGTH every one."""
ONE_LANGUAGE_UP_TO = 512
"""A language has 1,190 questions: batches of shared paragraphs up to here are of one language."""


@dataclass(frozen=True)
class Pair:
    """A question of XQuAD-R and the paragraph that answers it; `name` is the question's, one a language."""

    name: str
    paragraph_name: str
    language: str
    question: str
    paragraph: str


def read_pairs(root: Path) -> Iterator[Pair]:
    """Of all languages."""
    for language in XQUAD_R_LANGUAGES:
        content = json.loads(gzip.decompress((root / f"{language}.json.gz").read_bytes()))
        paragraphs = (p for article in content["data"] for p in article["paragraphs"])
        for number, paragraph in enumerate(paragraphs):
            for qa in paragraph["qas"]:
                name = f"{language}-{qa['id']}"
                yield Pair(name, f"{language}-{number}", language, qa["question"], paragraph["context"])


def write_base(folder: Path, pairs: Sequence[Pair], width: int, vocab_size: int) -> None:
    """A random decoder of 6 layers, and a tokenizer trained on the pairs, as both sides load them."""
    texts = dict.fromkeys(text for pair in pairs for text in (pair.question, pair.paragraph))
    tokenizer = train_tokenizer(texts, vocab_size)
    architecture = {
        "model_type": "qwen3",
        "hidden_size": width,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": width // 4,
        "intermediate_size": 4 * width,
    }
    model = ModelConfig(architecture=architecture, tokenizer="trained above", dtype="float32")
    encoder = build_encoder(model, seed=13, vocab_size=len(tokenizer))
    manifest = EncoderManifest.from_config(model, embedding_dimension=encoder.dimension)
    save_encoder(folder, encoder, tokenizer, manifest, encoder.state_dict())


def write_run(folder: Path, base: Path, pairs: Sequence[Pair], lengths: tuple[int, int], stage: int) -> None:
    """Data and run file of a workload."""
    folder.mkdir()
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps(_row(pair)) + "\n" for pair in pairs), encoding="utf-8")
    model = {"base": str(base), "dtype": "float32"}
    run = {
        "name": "benchmark",
        "output_dir": str(folder / "runs"),
        "model": {**model, "max_query_length": lengths[0], "max_passage_length": lengths[1]},
        "data": {"sources": [{"format": "hbt_jsonl", "path": str(data)}]},
        "sampling": {"strategy": "x_x", "language_distribution": "proportional"},
        "train": {
            "learning_rate": 1e-4,
            "warmup_steps": 0,
            "schedule": "constant",
            "temperature": 0.05,
            "max_grad_norm": None,
            "gradient": "cached",
            "deepspeed": str(ROOT / f"ds_configs/zero{stage}.json"),
        },
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")


def _row(pair: Pair) -> dict[str, Any]:
    passage = {"docid": pair.paragraph_name, "title": "", "text": pair.paragraph}
    row = {"group_id": pair.name, "query": pair.question, "positive_passages": [passage]}
    return {**row, "query_language": pair.language, "passage_language": pair.language}


def write_workloads(folder: Path, root: Path, *, width: int, vocab_size: int, stage: int) -> None:
    """The model, and data and run file of every workload, tokenized. `stage` is ZeRO's."""
    pairs = list(read_pairs(root))
    base = folder / "base"
    write_base(base, pairs, width, vocab_size)
    distinct = one_a_paragraph(pairs)
    rows = {GATE: distinct, SHARED: pairs, DISTINCT: distinct}
    rows[SAME_LENGTH] = one_a_paragraph(of_length(pairs, base, LENGTHS[SAME_LENGTH]))
    for name, chosen in rows.items():
        write_run(folder / name, base, chosen, LENGTHS[name], stage)
        open_workload(folder, name, 16)


def open_workload(folder: Path, name: str, batch: int) -> tuple[RunConfig, Prepared]:
    """Its run at this batch size."""
    one_language = name == SHARED and batch <= ONE_LANGUAGE_UP_TO
    strategy = "x_x_mono" if one_language else "x_x"
    overrides = [f"train.global_batch_size={batch}", f"sampling.strategy={strategy}"]
    config = load_run(folder / name / "run.yaml", overrides)
    return config, prepare(config)


def one_a_paragraph(pairs: Sequence[Pair]) -> list[Pair]:
    return list({pair.paragraph_name: pair for pair in pairs}.values())


def of_length(pairs: Sequence[Pair], base: Path, lengths: tuple[int, int]) -> list[Pair]:
    """Pairs whose texts are both cut to these lengths."""
    model = ModelConfig(base=str(base), max_query_length=lengths[0], max_passage_length=lengths[1])
    texts = TextEncoder(load_tokenizer(str(base)), model)
    queries = texts.queries([pair.question for pair in pairs])
    passages = texts.passages([pair.paragraph for pair in pairs])
    whole = zip(pairs, queries, passages, strict=True)
    return [pair for pair, query, passage in whole if (len(query), len(passage)) == lengths]
