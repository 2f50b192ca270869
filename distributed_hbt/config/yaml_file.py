"""YAML as the run files use it: YAML 1.2 booleans and numbers, no repeated keys, ${VARIABLE} in strings."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from distributed_hbt.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """SafeLoader without YAML 1.1's surprises (`no` is Norwegian, 1e-5 is a number)."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|false|False", "tTfF"),
    ("null", r"~|null|Null|", "~nN\0"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for i, key in enumerate(keys):
        if key in keys[:i]:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} stands twice", node.value[i][0].start_mark
            )
    return {
        key: loader.construct_object(value, deep=True)
        for key, (_, value) in zip(keys, node.value, strict=True)
    }


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_without_repeats)


def parse(text: str, where: str) -> Any:
    """Parse one YAML document; `where` (a file or an option) begins the message of a ConfigError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}:{mark.line + 1}" if mark else where
        raise ConfigError(place, f"is not YAML: {error.problem}", "correct the line") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(where, f"is not YAML: {error}", "correct it") from error


def read(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping, with ${VARIABLE} and ${VARIABLE:-default} filled in."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(str(path), "no such file", "check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), f"is not UTF-8 ({error.reason})", "save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(str(path), f"can not be read: {error.strerror}", "check the path") from error
    content = parse(text, str(path))
    if not isinstance(content, dict):
        raise ConfigError(str(path), "holds no mapping of keys to values", "see launchers/runs for examples")
    return {key: _fill_in(value, str(key)) for key, value in content.items()}


def _fill_in(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {key: _fill_in(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_in(item, f"{where}.{i}") for i, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        found = os.environ.get(match["name"]) or match["default"]
        if found is None:
            raise ConfigError(where, f"environment variable {match['name']} is not set", "set it")
        return found

    return re.sub(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}", variable, value)
