"""The demo's runs: one a strategy and seed, alike in everything else."""

from pathlib import Path
from typing import Any

import yaml

from distributed_hbt.demo.sample.write import SampleFiles

STRATEGIES = ("x_x_mono", "x_y", "hybrid")
SEEDS = (13, 14, 15)
NUM_RANKS = 2


def run_content(strategy: str, seed: int, out: Path, sample: SampleFiles) -> dict[str, Any]:
    """The run configuration of one strategy and seed on the embedded sample."""
    return {
        "name": f"{strategy}-{seed}",
        "output_dir": str(out),
        "seed": seed,
        "model": {
            "architecture": {
                "model_type": "qwen3",
                "hidden_size": 128,
                "intermediate_size": 256,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 32,
            },
            "tokenizer": {"train": {"vocab_size": 4000}},
            "dtype": "float32",
            "max_query_length": 48,
            "max_passage_length": 48,
        },
        "data": {"sources": [{"format": "hbt_jsonl", "path": str(sample.train)}]},
        "sampling": {"strategy": strategy, "alpha": 0.5},
        "train": {
            "max_steps": 300,
            "global_batch_size": 64,
            "learning_rate": 1e-3,
            "warmup_steps": 30,
            "temperature": 0.05,
            "max_tokens_per_chunk": 1024,
            "checkpoint_every": 300,
            "deepspeed": str(out / "zero2.json"),
        },
        "evaluation": {
            "benchmarks": [
                {
                    "name": "lareqa",
                    "label": "held_out_facts",
                    "root": str(sample.held_out),
                    "languages": list(sample.languages),
                }
            ]
        },
        "cluster": {"num_workers": NUM_RANKS, "gpus_per_worker": 0, "evaluation_placement": "after"},
        "tracking": {"experiment": "demo"},
    }


def write_run(strategy: str, seed: int, out: Path, sample: SampleFiles) -> Path:
    """Write the run file of a strategy and seed into `out`."""
    file = out / f"{strategy}-{seed}.yaml"
    content = run_content(strategy, seed, out, sample)
    file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return file
