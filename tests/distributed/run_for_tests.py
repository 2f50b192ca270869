"""A tiny run on generated data, for tests on real ranks."""

import json
from pathlib import Path
from typing import Any

import torch
import yaml

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("de", "en", "es")
WORDS = {
    "de": ["Haus", "Baum", "Fluss", "Stadt", "Licht", "Wasser", "Berg", "Buch", "Stern", "Vogel"],
    "en": ["house", "tree", "river", "city", "light", "water", "hill", "book", "star", "bird"],
    "es": ["casa", "arbol", "rio", "ciudad", "luz", "agua", "monte", "libro", "estrella", "ave"],
}


def passage(name: str, language: str, number: int) -> dict[str, str]:
    words = WORDS[language]
    text = " ".join(words[(number * k + k) % 10] for k in range(1, 4 + number % 7))
    return {"docid": f"{language}-{name}-{number}", "title": "", "text": f"{name} {text} {number}"}


def scored(group: int, passages: list[dict[str, str]]) -> list[dict[str, object]]:
    """As a reranker scored them; every fourth group it has not seen."""
    if group % 4 == 3:
        return [dict(one) for one in passages]
    return [
        {**one, "score": round(2 - k + (group + len(one["text"])) % 5 / 3, 3)}
        for k, one in enumerate(passages)
    ]


def rows(groups: int) -> list[dict[str, object]]:
    """Two questions share a paragraph; some have two positives; all have hard negatives; most have scores."""
    return [
        {
            "group_id": f"g{group}",
            "query": f"{WORDS[language][group % 10]} {WORDS[language][group // 10]} {group} ?",
            "query_language": language,
            "passage_language": language,
            "positive_passages": scored(
                group,
                [passage("p", language, group // 2)]
                + ([passage("q", language, group)] if group % 5 == 0 else []),
            ),
            "negative_passages": scored(
                group, [passage("n", language, group + k) for k in range(1, 2 + group % 3)]
            ),
        }
        for group in range(groups)
        for language in LANGUAGES
    ]


def write_run(folder: Path, groups: int = 40, **sections: dict[str, object]) -> Path:
    """Write data and a run file; `sections` update those of the run."""
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows(groups)), encoding="utf-8")
    run: dict[str, object] = {
        "name": "tiny",
        "output_dir": str(folder / "runs"),
        "model": {
            "architecture": {
                "model_type": "qwen3",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 8,
            },
            "tokenizer": {"train": {"vocab_size": 400}},
            "dtype": "float32",
            "max_query_length": 48,
            "max_passage_length": 96,
        },
        "data": {"sources": [{"format": "hbt_jsonl", "path": str(data)}], "num_hard_negatives": 2},
        "train": {
            "max_steps": 10,
            "global_batch_size": 8,
            "learning_rate": 1e-3,
            "warmup_steps": 2,
            "temperature": 0.1,
            "max_grad_norm": None,
            "max_tokens_per_chunk": 160,
            "checkpoint_every": 5,
            "deepspeed": str(ROOT / "ds_configs/zero2.json"),
        },
    }
    for name, content in sections.items():
        run[name] = {**run.get(name, {}), **content}  # type: ignore[dict-item]
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(run), encoding="utf-8")
    return file


def wake_adapters(encoder: Any) -> None:
    """LoRA starts with one factor at zero, and then the other has no gradient: give it values."""
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:
            values = torch.arange(parameter.numel(), dtype=torch.float32).sin().view(parameter.shape)
            parameter.data.copy_(0.02 * values)


def zero_overrides(stage: int | str, *more: str) -> list[str]:
    """Overrides for a ZeRO stage, or "3_offload". Stage 3 partitions the smallest parameter too: by default
    DeepSpeed keeps those below 100,000 elements whole, which all of a tiny model's are, and shows nothing."""
    partitioned = str(stage).startswith("3")
    file = f"tests/distributed/zero{stage}_small_too.json" if partitioned else f"ds_configs/zero{stage}.json"
    return [f"train.deepspeed={ROOT / file}", *more]
