"""YAML as the run files use it: YAML 1.2 booleans and numbers, no repeated keys, ${VARIABLE} in strings."""

import os
import re
from pathlib import Path
from typing import Any

import yaml

from distributed_hbt.errors import ConfigError

_LONGEST = 2**22
_MOST_VALUES = 100_000
_DEEPEST = 50


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
    content: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            what = f"a {type(key).__name__} is no key"
            raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
        if key in content:
            what = f"key {key!r} stands twice"
            raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
        content[key] = loader.construct_object(value_node, deep=True)
    return content


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping_without_repeats)


def parse(text: str, where: str) -> Any:
    """Parse one YAML document; `where` (a file or an option) begins the message of a ConfigError.

    What is too large, or grows too large by its aliases, is refused before it takes memory or time.
    """
    if len(text) > _LONGEST:
        raise ConfigError(where, f"has more than {_LONGEST} characters", "a run file has a few thousand")
    try:
        content = yaml.load(text, Loader=_Loader)
        _check_size(content, where)
        return content
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}:{mark.line + 1}" if mark else where
        raise ConfigError(place, f"is not YAML: {error.problem}", "correct the line") from error
    except ConfigError:
        raise
    except RecursionError as error:
        raise ConfigError(where, "is nested too deeply", "a run file has a few levels") from error
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise ConfigError(where, f"is not YAML: {error}", "correct it") from error


def _check_size(content: Any, where: str) -> None:
    """Aliases stand for the same value again and again: a few lines may mean billions of values, or endlessly
    many. They are counted until there are too many."""
    left = [(content, 0)]
    seen = 0
    while left:
        value, depth = left.pop()
        seen += 1
        if depth > _DEEPEST:
            raise ConfigError(where, "is nested too deeply", "a run file has a few levels")
        if seen > _MOST_VALUES:
            raise ConfigError(where, f"holds more than {_MOST_VALUES} values", "a run file has a few hundred")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left.extend((one, depth + 1) for one in inner)


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
