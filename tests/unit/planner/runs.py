"""Tiny models and runs for the planner's tests."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed_hbt.config.load import load_run
from distributed_hbt.config.model import LoraConfig, ModelConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.planner.cluster import Assumptions, ClusterDescription
from distributed_hbt.planner.setting import Setting, SettingBuilder

ROOT = Path(__file__).resolve().parents[3]
KINDS = ("qwen3", "llama", "mistral", "gemma", "xlm-roberta")


def small_fields(kind: str) -> dict[str, Any]:
    """A configuration of three layers, 64 wide."""
    fields: dict[str, Any] = {
        "model_type": kind,
        "vocab_size": 300,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
    }
    return fields if kind == "xlm-roberta" else {**fields, "num_key_value_heads": 2, "head_dim": 16}


def small_model(kind: str, *, lora: LoraConfig | None = None, dtype: Any = "float32") -> ModelConfig:
    encoder = kind == "xlm-roberta"
    return ModelConfig(
        architecture=small_fields(kind),
        tokenizer="none is asked for",
        dtype=dtype,
        attention="bidirectional" if encoder else "causal",
        pooling="mean" if encoder else "last_token",
        lora=lora,
    )


def shipped(name: str, *overrides: str) -> RunConfig:
    return load_run(ROOT / f"launchers/runs/{name}.yaml", overrides)


def h100(nodes: int = 1, **assumed: Any) -> ClusterDescription:
    return ClusterDescription(
        gpu="H100", gpus_per_node=8, nodes=nodes, price_per_gpu_hour=2.0, assumptions=Assumptions(**assumed)
    )


def zero(stage: int | str) -> str:
    return f"train.deepspeed={ROOT / f'ds_configs/zero{stage}.json'}"


_KNOWN = SettingBuilder(h100())
"""What one test has found out about a model, others need not."""


def setting_of(name: str, *overrides: str, nodes: int = 1, **assumed: Any) -> Setting:
    return replace(_KNOWN, cluster=h100(nodes, **assumed)).of(shipped(name, *overrides))


def known() -> SettingBuilder:
    """For one node of 8 H100."""
    return _KNOWN
