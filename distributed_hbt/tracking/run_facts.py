"""Parameters and tags of a run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distributed_hbt.config.fingerprint import system_fingerprint
from distributed_hbt.config.load import flatten
from distributed_hbt.config.model import ModelConfig
from distributed_hbt.config.run import RunConfig
from distributed_hbt.tracking.git_commit import GitCommit
from distributed_hbt.tracking.names import tracking_name

_MAX_VALUE = 6000


def run_params(config: RunConfig) -> dict[str, str]:
    """The resolved configuration, dotted path -> value, as MLflow takes them: lists as JSON, a value of more
    than 6,000 characters ends in dots."""
    values = flatten(config)
    if config.tracking.uri is not None:
        values["tracking.uri"] = without_password(config.tracking.uri)
    return {tracking_name(key): _cut(_text(value)) for key, value in values.items()}


def run_tags(
    config: RunConfig, *, world_size: int | None, commit: GitCommit | None, versions: Mapping[str, str]
) -> dict[str, str]:
    """What the run is, to find it by: strategy, model, seed, benchmarks, ranks, commit, package versions, the
    fingerprint of its system, and the user's tags."""
    tags = {
        "strategy": config.sampling.strategy,
        "model": model_name(config.model),
        "model_family": model_family(config.model),
        "fine_tuning": fine_tuning(config.model),
        "seed": str(config.seed),
        "benchmarks": ",".join(benchmark.label for benchmark in config.evaluation.benchmarks),
        "system": system_fingerprint(config),
        **{f"version.{package}": version for package, version in versions.items()},
    }
    if world_size is not None:
        tags["world_size"] = str(world_size)
    if config.sampling.strategy == "hybrid":  # the others have no use for it
        tags["alpha"] = f"{config.sampling.alpha:g}"
    if commit is not None:
        # The name with `mlflow.` is where MLflow's own pages look for the commit.
        tags |= {"git_commit": commit.commit, "mlflow.source.git.commit": commit.commit}
        tags |= {"git_dirty": str(commit.dirty).lower()}
    return {**tags, **{tracking_name(key): value for key, value in config.tracking.tags.items()}}


def model_name(model: ModelConfig) -> str:
    """For people: the base's name, or family, layers and width of random weights, as `qwen3 3x128`."""
    if model.architecture is None:
        return Path(str(model.base)).name if Path(str(model.base)).is_absolute() else str(model.base)
    kind, *sizes = (
        model.architecture.get(name) for name in ("model_type", "num_hidden_layers", "hidden_size")
    )
    return str(kind) if None in sizes else f"{kind} {sizes[0]}x{sizes[1]}"


def fine_tuning(model: ModelConfig) -> str:
    """`full`, or `lora r16`."""
    return "full" if model.lora is None else f"lora r{model.lora.rank}"


def model_family(model: ModelConfig) -> str:
    """The model type (qwen3, llama, ...) where a local file tells it, else the base's name."""
    if model.architecture is not None:
        return str(model.architecture["model_type"])
    base = str(model.base)
    try:
        content = json.loads((Path(base) / "config.json").read_text(encoding="utf-8"))
        return str(content["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        return base  # a hub id, or a folder that the model's reader will have its say on


def without_password(uri: str) -> str:
    """The address with the password in it, if any, hidden."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", uri)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 3]}..."
