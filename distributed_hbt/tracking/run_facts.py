"""Parameters and tags of a run."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    config: RunConfig, *, world_size: int, commit: GitCommit | None, versions: Mapping[str, str]
) -> dict[str, str]:
    """What the run is: strategy, model family, ranks, commit, package versions, and the user's tags."""
    tags = {
        "strategy": config.sampling.strategy,
        "model_family": model_family(config.model),
        "world_size": str(world_size),
        **{f"version.{package}": version for package, version in versions.items()},
    }
    if commit is not None:
        # The name with `mlflow.` is where MLflow's own pages look for the commit.
        tags |= {"git_commit": commit.commit, "mlflow.source.git.commit": commit.commit}
        tags |= {"git_dirty": str(commit.dirty).lower()}
    return {**tags, **{tracking_name(key): value for key, value in config.tracking.tags.items()}}


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
