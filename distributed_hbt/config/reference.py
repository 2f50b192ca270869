"""The reference page of the run configuration, made from the fields themselves.

python -m distributed_hbt.config.reference > docs/configuration.md
"""

import json
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from distributed_hbt.config.base import Section
from distributed_hbt.config.run import RunConfig

INTRODUCTION = """# The run configuration

A run file is YAML with these fields; `key=value` on the command line overrides one (`train.max_steps=100`,
`data.sources.0.path=x.jsonl`). Unknown keys and values that do not fit are refused with their full path.
`${VARIABLE}` and `${VARIABLE:-default}` in a text are filled in from the environment. The show-config command
prints what a file comes to. This page is made by `python -m distributed_hbt.config.reference`.
"""


def page() -> str:
    """The whole page, Markdown."""
    return "\n".join([INTRODUCTION, *_tables(RunConfig, "", set())])


def _tables(section: type[Section], prefix: str, shown: set[type[Section]]) -> Iterator[str]:
    """A section that stands in several places (sources of data) has its table at the first."""
    if section in shown:
        return
    shown.add(section)
    yield f"## {prefix.rstrip('.') or 'A run'}\n"
    yield f"{_one_line(section.__doc__)}\n"
    yield "| field | kind | default | |"
    yield "|---|---|---|---|"
    for name, field in section.model_fields.items():
        default = "required" if field.is_required() else f"`{_default(field)}`"
        yield f"| `{prefix}{name}` | {_kind(field.annotation)} | {default} | {_one_line(field.description)} |"
    yield ""
    for name, field in section.model_fields.items():
        for inner in _sections(field.annotation):
            yield from _tables(inner, f"{prefix}{_step(name, field, inner)}.", shown)


def _step(name: str, field: FieldInfo, inner: type[Section]) -> str:
    """`sources[format: squad]` where a list holds several kinds, else the field's name."""
    if get_origin(field.annotation) is not tuple:
        return name
    key, choices = next(
        (key, get_args(inner.model_fields[key].annotation))
        for key in ("format", "name")
        if key in inner.model_fields
    )
    return f"{name}[{key}: {choices[0]}]"


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _kind(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is Annotated:
        return _kind(parts[0])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_kind(part) for part in parts))
    if origin is tuple:
        return f"list of {_kind(parts[0])}" if parts[-1] is Ellipsis else f"list of {len(parts)}"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "section"
    return {str: "text", int: "integer", float: "number", bool: "true or false"}.get(annotation, "any")


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Section):
        return "its defaults"
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
