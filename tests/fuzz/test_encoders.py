"""Folders of encoders, damaged, and benchmarks that they are measured on."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from distributed_hbt.config.model import LoraConfig, ModelConfig
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.manifest import EncoderManifest
from distributed_hbt.models.saved import save_base, save_encoder
from distributed_hbt.models.tokenizer import train_tokenizer
from tests.corpus_files import passage, write_lines
from tests.fuzz.cases import Target
from tests.fuzz.conftest import FuzzOf
from tests.fuzz.counts import cases
from tests.lareqa_files import write_lareqa
from tests.run_files import lareqa_tasks, write_run

TEXTS = [f"{language} fact {n} {k}." for language in ("en", "de") for n in range(3) for k in range(4)]
ARCHITECTURE = {"model_type": "qwen3", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1} | {
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


def write_encoder(run: Path, lora: bool) -> Path:
    """<run>/checkpoints/step-00000001 with an encoder, and <run>/base where that is an adapter."""
    tokenizer = train_tokenizer(iter(TEXTS * 4), 300)
    adapters = LoraConfig(rank=2) if lora else None
    model = ModelConfig(architecture=ARCHITECTURE, tokenizer="unused", dtype="float32", lora=adapters)
    encoder = build_encoder(model, 3, vocab_size=len(tokenizer))
    if lora:
        save_base(run / "base", encoder)
    base = "../../../base" if lora else None
    manifest = EncoderManifest.from_config(model, embedding_dimension=encoder.dimension, base=base)
    state = {name: p for name, p in encoder.state_dict().items() if not lora or ".lora_" in name}
    step = run / "checkpoints" / "step-00000001"
    save_encoder(step / "encoder", encoder, tokenizer, manifest, state)
    return step


def write_around(step: Path) -> None:
    """What a run has beside its checkpoint, of which the model card tells."""
    run = step.parent.parent
    values = [i / 7 for i in range(7)]
    write_run(run, {"xquad_r": lareqa_tasks({"de": values, "en": values}, {"de-en": values})}, step=1)
    state = {"step": 1, "name": "run", "seed": 13, "world_size": 1, "zero_stage": 2, "store": "abc"}
    (step / "state.json").write_text(json.dumps({**state, "next_batch": "d", "tracking_run": None}))
    tracked = {"tracking_uri": f"sqlite:///{run}/none.db", "experiment_id": "1", "run_id": "0" * 32}
    (run / "mlflow.json").write_text(json.dumps(tracked))


def write_miracl(root: Path) -> dict[str, Any]:
    """Topics, judgments and corpus of one language, as they are published."""
    write_lines(root / "topics" / "topics.miracl-v1.0-en-dev.tsv", *(f"{i}#0\tfact {i}\n" for i in range(4)))
    lines = (f"{i}#0\tQ0\t{i}#{j}\t{int(j == 0)}\n" for i in range(4) for j in range(2))
    write_lines(root / "qrels" / "qrels.miracl-v1.0-en-dev.tsv", *lines)
    rows = (passage(f"{i}#{j}", f"fact {i} {j}", "title") for i in range(4) for j in range(2))
    write_lines(root / "corpus" / "en" / "docs-0.jsonl.gz", *rows)
    return {"name": "miracl", "root": str(root), "languages": ["en"]}


def write_beir(root: Path) -> dict[str, Any]:
    write_lines(root / "corpus.jsonl", *({"_id": f"d{i}", "title": "T", "text": f"t {i}"} for i in range(5)))
    write_lines(root / "queries.jsonl.gz", *({"_id": f"q{i}", "text": f"fact {i}"} for i in range(5)))
    lines = [f"q{i}\td{i}\t1\n" for i in range(5)]
    write_lines(root / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\n", *lines)
    return {"name": "beir", "label": "tiny", "path": str(root)}


def write_run_file(folder: Path, benchmark: dict[str, Any]) -> Path:
    content = {
        "name": "run",
        "output_dir": str(folder),
        "model": {"architecture": ARCHITECTURE, "tokenizer": {"train": {"vocab_size": 300}}},
        "data": {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]},
        "evaluation": {"benchmarks": [benchmark]},
        "cluster": {"evaluation_actors": 0, "gpus_per_worker": 0},
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def has_summary(out: Path) -> bool:
    return any(out.rglob("summary.json"))


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@cases(2, 160)
def test_a_damaged_encoder_is_exported(
    fuzzed: FuzzOf, tmp_path: Path, lora: bool, first: int, stop: int
) -> None:
    """An export of half an encoder, or of one whose weights went wherever their names happened to fit."""
    step = write_encoder(tmp_path / "run", lora)
    write_around(step)
    files = tuple(sorted(path for path in (tmp_path / "run").rglob("*") if path.is_file()))
    options = ["--format", "hf", "--merge-lora"] if lora else []
    kind = f"encoder, {'lora' if lora else 'full'}: export"
    fuzzed(
        Target(kind, files, lambda out: ["export", str(step), "--out", str(out), *options]),
        range(first, stop),
    )


@cases(2, 160)
def test_a_damaged_encoder_is_evaluated(fuzzed: FuzzOf, tmp_path: Path, first: int, stop: int) -> None:
    """Figures of an encoder that is not the one that was trained."""
    step = write_encoder(tmp_path / "run", lora=False)
    run = write_run_file(tmp_path, write_lareqa(tmp_path / "data", ("en", "de"), articles=2))
    files = tuple(sorted(path for path in step.rglob("*") if path.is_file()))
    arguments = ["evaluate", str(run), "--checkpoint", str(step), "--out"]
    target = Target("encoder: evaluate", files, lambda out: [*arguments, str(out)], has_summary)
    fuzzed(target, range(first, stop))


@pytest.mark.parametrize("name", ["lareqa", "miracl", "beir"])
@cases(2, 160)
def test_a_damaged_benchmark(fuzzed: FuzzOf, tmp_path: Path, name: str, first: int, stop: int) -> None:
    """Measures over the questions that were left, as if they were all."""
    step = write_encoder(tmp_path / "run", lora=False)
    data = tmp_path / "data"
    benchmark = {
        "lareqa": lambda: write_lareqa(data, ("en", "de"), articles=2),
        "miracl": lambda: write_miracl(data),
        "beir": lambda: write_beir(data),
    }[name]()
    if name == "lareqa":
        packed = data / "de.json.gz"
        packed.write_bytes(gzip.compress((data / "de.json").read_bytes(), mtime=0))
        (data / "de.json").unlink()
    run = write_run_file(tmp_path, benchmark)
    files = tuple(sorted(path for path in data.rglob("*") if path.is_file()))
    arguments = ["evaluate", str(run), "--checkpoint", str(step), "--out"]
    target = Target(f"benchmark, {name}", files, lambda out: [*arguments, str(out)], has_summary)
    fuzzed(target, range(first, stop))
