"""Every baseline that is shipped trains, saves an encoder and is evaluated: on a tiny model of the same kind
and the sample that the package carries, with everything else of the run file as it is."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import yaml

from distributed_hbt.config.load import load_run
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.demo.sample.facts import load_facts, split
from distributed_hbt.demo.sample.write import SPLIT_SEED, training_rows, write_sample
from distributed_hbt.models.build import build_encoder
from distributed_hbt.models.saved import load_encoder
from distributed_hbt.models.tokenizer import train_tokenizer
from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import ROOT

RUNS = ROOT / "launchers/runs"
SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
ENCODER = {**SMALL, "num_hidden_layers": 2, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DECODER = {
    **{"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2},
    **{"num_hidden_layers": 9, "num_key_value_heads": 1, "head_dim": 32},
}
TINY: dict[str, dict[str, Any]] = {
    "google-bert/bert-base-multilingual-cased": {"model_type": "bert", **ENCODER},
    "sentence-transformers/LaBSE": {"model_type": "bert", **ENCODER},
    "FacebookAI/xlm-roberta-base": {"model_type": "xlm-roberta", **ENCODER},
    "Qwen/Qwen3-4B-Base": {"model_type": "qwen3", **DECODER},
}
LANGUAGES = ("ar", "de", "en", "hi", "ru", "zh")
FACTS = 24
STEPS = 120

BASELINES = [
    ("xlmr_paper", {}),
    *(("xlmr_paper", {"sampling.strategy": name}) for name in ("x_x_mono", "x_x", "x_y", "en_en")),
    ("labse_paper", {}),
    ("mdpr", {}),
    ("code_switched", {}),
    ("lora_early_layers", {}),
    ("distilled", {}),
    ("distilled", {"train.teacher.form": "optimal_transport"}),
]


@pytest.fixture(scope="module")
def rank() -> Iterator[RankPool]:
    pool = RankPool(1)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with a hard negative a row, as parallel sentences, a lexicon a language, and a teacher."""
    folder = tmp_path_factory.mktemp("baselines")
    sample = write_sample(folder / "sample")
    facts, _ = split(load_facts(), SPLIT_SEED)
    rows: list[dict[str, Any]] = [
        row for row in training_rows(facts[:FACTS]) if row["query_language"] in LANGUAGES
    ]
    of_language = {code: [row for row in rows if row["query_language"] == code] for code in LANGUAGES}
    for same in of_language.values():
        for row, other in pairwise([*same, same[0]]):
            row["negative_passages"] = other["positive_passages"]
    write(folder / "train.jsonl", map(json.dumps, rows))
    for code, same in of_language.items():
        write(folder / f"{code}.txt", (row["positive_passages"][0]["text"] for row in same))
        write(folder / f"lexicon-{code}.txt", (f"{word}\t{word}-{code}" for word in ("the", "what", "is")))
    texts = [row["positive_passages"][0]["text"] for row in of_language["en"]]
    write_teacher(folder / "teacher", texts)
    assert sample.held_out.is_dir()
    return folder


def write(path: Path, lines: Any) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_teacher(folder: Path, texts: list[str]) -> None:
    """A pretrained model as the hub has them: weights and a tokenizer."""
    tokenizer = train_tokenizer(iter(texts), 400)
    model = ModelConfig.model_validate(
        {"architecture": TINY["sentence-transformers/LaBSE"], "tokenizer": "x", "attention": "bidirectional"}
    )
    build_encoder(model, seed=5, vocab_size=len(tokenizer)).backbone.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def small_run(name: str, changes: dict[str, str], folder: Path) -> dict[str, Any]:
    """The shipped run, smaller: what is taken away is listed here, and nothing else."""
    shipped = load_run(RUNS / f"{name}.yaml", [f"{key}={value}" for key, value in changes.items()])
    content = shipped.model_dump(mode="json")
    model, data, train = content["model"], content["data"], content["train"]
    content |= {"name": "-".join([name, *changes.values()]), "output_dir": str(folder / "runs")}
    model |= {"architecture": TINY[model["base"]], "base": None, "tokenizer": {"train": {"vocab_size": 1000}}}
    model |= {"dtype": "float32"}
    if data["sources"][0]["format"] == "parallel":
        data["sources"][0]["paths"] = {code: f"{folder}/{code}.txt" for code in LANGUAGES}
    else:
        data["sources"] = [{"format": "hbt_jsonl", "path": f"{folder}/train.jsonl"}]
    if data["code_switching"] is not None:
        lexicons = data["code_switching"]["lexicons"]
        data["code_switching"]["lexicons"] = {code: f"{folder}/lexicon-{code}.txt" for code in lexicons}
    if content["sampling"]["languages"] is not None:
        content["sampling"]["languages"] = list(LANGUAGES)
    if train["teacher"] is not None:
        train["teacher"]["model"] |= {"base": f"{folder}/teacher", "dtype": "float32"}
    rate = 3e-3 if model["lora"] is None else 2e-3
    train |= {"max_steps": STEPS, "global_batch_size": 8, "learning_rate": rate, "warmup_steps": 4}
    train |= {"checkpoint_every": STEPS}
    held_out = {"name": "lareqa", "label": "held_out", "root": f"{folder}/sample/held_out"}
    content["evaluation"] |= {"every": None, "benchmarks": [{**held_out, "languages": ["de", "en"]}]}
    return content


@pytest.mark.parametrize(("name", "changes"), BASELINES, ids=lambda value: str(value))
def test_baseline_trains_saves_and_is_evaluated(
    rank: RankPool, folder: Path, name: str, changes: dict[str, str]
) -> None:
    """A run file whose settings go together in no run: a pooling that its model has not, a strategy that its
    data has no batch for, adapters on layers that are not there, a teacher of another width."""
    content = small_run(name, changes, folder)
    run_file = folder / f"{content['name']}.yaml"
    run_file.write_text(yaml.safe_dump(content), encoding="utf-8")
    ((losses, summaries),) = rank.run("train_and_evaluate", str(run_file))
    assert len(losses) == STEPS
    assert mean(losses[-10:]) < 0.95 * mean(losses[:10])
    checkpoint = folder / "runs" / content["name"] / f"checkpoints/step-{STEPS:08d}"
    loaded = load_encoder(checkpoint / "encoder")
    assert loaded.manifest.pooling == content["model"]["pooling"]
    assert loaded.manifest.adapter == (content["model"]["lora"] is not None)
    (summary,) = map(Path, summaries)
    assert set(json.loads(summary.read_text())["aggregates"]) >= {"mono", "cross", "multi"}


def test_every_baseline_of_the_page_is_tried() -> None:
    """A baseline that is described and was never run."""
    page = (ROOT / "docs/baselines.md").read_text(encoding="utf-8")
    named = {path.stem for path in RUNS.glob("*.yaml") if f"launchers/runs/{path.name}" in page}
    assert named == {name for name, _ in BASELINES}
    for name, changes in BASELINES:
        command = " ".join([f"launchers/runs/{name}.yaml", *(f"{key}={v}" for key, v in changes.items())])
        assert command in page
