"""pydantic's validation errors as one line: full path, what is wrong, the remedy."""

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ValidationError

from distributed_hbt.config.base import Section
from distributed_hbt.errors import ConfigError

Location = tuple[str | int, ...]


def config_error(error: ValidationError, root: type[Section], content: Any) -> ConfigError:
    """The first thing to mend, as a ConfigError.

    `content` is what was validated; it tells the keys of a location from the names of union members
    that pydantic mixes into it.
    """
    found = [(_path_in(content, item["loc"], item["type"]), item) for item in error.errors()]
    found.sort(key=lambda pair: (pair[1]["type"] != "extra_forbidden", -len(pair[0])))
    path, item = found[0]
    where = ".".join(map(str, path)) or "run configuration"
    match item["type"]:
        case "extra_forbidden":
            return ConfigError(where, "unknown key", _nearest(root, path, content))
        case "missing":
            return ConfigError(where, "is missing", "set it")
        case "union_tag_invalid" | "union_tag_not_found":
            context = item["ctx"]
            key = str(context["discriminator"]).strip("'")
            given = context.get("tag", "nothing")
            expected = context.get("expected_tags", "a known one")
            return ConfigError(f"{where}.{key}", f"{given!r} is not known", f"choose one of {expected}")
        case "value_error":
            what, _, remedy = str(item["ctx"]["error"]).rpartition("; ")
            return ConfigError(where, what, remedy)
        case _:
            message = item["msg"][0].lower() + item["msg"][1:]
            return ConfigError(where, f"{item['input']!r} does not fit", message)


def _path_in(content: Any, location: Location, kind: str) -> Location:
    path: list[str | int] = []
    here = content
    for i, part in enumerate(location):
        is_key = isinstance(here, dict) and part in here
        is_index = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if is_key or is_index:
            path.append(part)
            here = here[part]
        elif i == len(location) - 1 and kind == "missing":
            path.append(part)
    return tuple(path)


def _nearest(root: type[Section], path: Location, content: Any) -> str:
    parents = list(sections_at(root, path[:-1], content))
    known = sorted({name for section in parents for name in section.model_fields})
    prefix = "".join(f"{part}." for part in path[:-1])
    near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {prefix}{near[0]}?"
    return f"the keys here are {', '.join(known)}"


def sections_at(root: type[Section], path: Location, content: Any) -> Iterator[type[Section]]:
    """The sections that can stand at `path`; of a union told apart by a key, the one that `content` names."""
    if not path:
        yield root
        return
    field = root.model_fields.get(str(path[0]))
    if field is None:
        return
    value, rest = content.get(path[0]) if isinstance(content, dict) else None, path[1:]
    if rest and isinstance(rest[0], int) and isinstance(value, list):
        value, rest = value[rest[0]] if rest[0] < len(value) else None, rest[1:]
    for section in _sections_in(field.annotation):
        if _fits(section, value):
            yield from sections_at(section, rest, value)


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_in(part)


def _fits(section: type[Section], value: Any) -> bool:
    if not isinstance(value, dict):
        return True
    for key in ("format", "name"):
        field = section.model_fields.get(key)
        choices = get_args(field.annotation) if field else ()
        if choices and key in value and value[key] not in choices:
            return False
    return True
