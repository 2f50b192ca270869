"""YAML file + `key=value` overrides -> RunConfig; and back."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from distributed_hbt.config import yaml_file
from distributed_hbt.config.messages import config_error
from distributed_hbt.config.paths import resolve_paths
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.masking import masked_values


def load_run(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read, override, validate and resolve a run configuration. Raises ConfigError."""
    content = yaml_file.read(path)
    for override in overrides:
        _apply(content, override)
    return resolve_paths(validate(content), path.absolute().parent)


def validate(content: dict[str, Any]) -> RunConfig:
    """Validate plain YAML content. Raises ConfigError with the full path of the first fault."""
    try:
        return RunConfig.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise config_error(error, RunConfig, content) from error


def with_overrides(config: RunConfig, overrides: Sequence[str]) -> RunConfig:
    """The configuration with these `key=value` changed; paths stay as they are. Raises ConfigError."""
    content = config.model_dump(mode="json")
    for override in overrides:
        _apply(content, override)
    return validate(content)


def dump(config: RunConfig) -> str:
    """The configuration as YAML, with its secrets masked; `load_run` of it gives an equal configuration where
    there are none."""
    content = public(config)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def differing_fields(one: RunConfig, other: RunConfig) -> list[str]:
    """Dotted paths of the fields whose values differ; a secret that differs is no difference."""
    return sorted(_differences(public(one), public(other), ""))


def flatten(config: RunConfig) -> dict[str, Any]:
    """Dotted path -> value, lists and scalars as leaves (for tracking parameters); secrets are masked."""
    return dict(_leaves(public(config), ""))


def public(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain content that anybody may read: passwords and tokens are `***`."""
    content: dict[str, Any] = masked_values(config.model_dump(mode="json"))
    return content


def _leaves(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differences(one: Any, other: Any, prefix: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            yield from _differences(one.get(key), other.get(key), f"{prefix}.{key}" if prefix else key)
    elif one != other:
        yield prefix


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(
            "command line", f"{override!r} is no key=value", "write overrides as train.max_steps=100"
        )
    parts = key.split(".")
    here: Any = content
    for i, part in enumerate(parts[:-1]):
        here = _descend(here, part, ".".join(parts[: i + 1]))
    last = _index(here, parts[-1], key) if isinstance(here, list) else parts[-1]
    here[last] = yaml_file.parse(text, key)


def _descend(here: Any, part: str, where: str) -> Any:
    if isinstance(here, list):
        child = here[_index(here, part, where)]
    else:
        if here.get(part) is None:
            here[part] = {}
        child = here[part]
    if not isinstance(child, dict | list):
        raise ConfigError(where, f"holds {child!r}, which has no keys below it", "override it as a whole")
    return child


def _index(here: list[Any], part: str, where: str) -> int:
    if not part.isdigit() or int(part) >= len(here):
        raise ConfigError(where, f"is a list of {len(here)} items", "name one by its position from 0")
    return int(part)
