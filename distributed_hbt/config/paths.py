"""Relative paths of a run file, made absolute where they exist."""

import json
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from distributed_hbt.config.base import PathMarker, Section
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError


def resolve_paths(config: RunConfig, run_folder: Path) -> RunConfig:
    """Every input path that exists, absolute; others (hub ids, missing files) stay as they are."""
    run_anchors = [run_folder, Path.cwd()]
    content = config.model_dump(mode="json")
    if config.data.root is not None:
        content["data"]["root"] = _resolve(config.data.root, run_anchors)
        data_anchors = [Path(content["data"]["root"])]
    else:
        data_anchors = run_anchors
    for where, marker, value in _marked(config, RunConfig):
        anchors = data_anchors if marker.anchor == "data" else run_anchors
        _set(content, where, _resolve(value, anchors))
    return RunConfig.model_validate_json(json.dumps(content))


def check_inputs(config: RunConfig) -> None:
    """Refuse local input paths that do not exist, before anything heavy starts.

    Raises ConfigError naming the field.
    """
    _check(config, "")


def check_benchmarks(config: RunConfig) -> None:
    """As check_inputs, for the evaluation's inputs alone."""
    _check(config, "evaluation.")


def check_sources(config: RunConfig) -> None:
    """As check_inputs, for the training data alone."""
    _check(config, "data.")


def check_mining(config: RunConfig) -> None:
    """As check_inputs, for what `hbt mine` reads."""
    _check(config, "data.")
    _check(config, "mining.")


def missing_inputs(config: RunConfig) -> list[ConfigError]:
    """What check_inputs refuses: all of it, in the order of the run file."""
    return list(_missing(config, ""))


def hub_inputs(config: RunConfig) -> dict[str, str]:
    """Field -> `hf://` path or hub id of each input that is not a local file."""
    found = {
        ".".join(map(str, where)): (marker, value) for where, marker, value in _marked(config, RunConfig)
    }
    return {
        field: value
        for field, (marker, value) in found.items()
        if value.startswith("hf://")
        or (marker.anchor == "run" and _may_be_hub_id(field, value) and not Path(value).exists())
    }


def _check(config: RunConfig, prefix: str) -> None:
    for error in _missing(config, prefix):
        raise error


def _missing(config: RunConfig, prefix: str) -> Iterator[ConfigError]:
    for where, marker, value in _marked(config, RunConfig):
        field = ".".join(map(str, where))
        if not field.startswith(prefix):
            continue
        if value.startswith("hf://") or (marker.anchor == "run" and _may_be_hub_id(field, value)):
            continue
        if not _exists(Path(value)):
            yield ConfigError(field, f"nothing is found at {value}", "check the path (or data.root)")


def _may_be_hub_id(field: str, value: str) -> bool:
    return (
        field.removeprefix("train.teacher.") in ("model.base", "model.tokenizer")
        and not Path(value).is_absolute()
        and value[0] != "."
    )


def _resolve(value: str, anchors: list[Path]) -> str:
    if value.startswith("hf://"):
        return value
    path = Path(value).expanduser()
    for candidate in [path] if path.is_absolute() else [anchor / path for anchor in anchors]:
        if _exists(candidate):
            return str(candidate.absolute().resolve() if candidate.exists() else candidate.absolute())
    return value


def _exists(path: Path) -> bool:
    text = str(path).replace("{language}", "*")
    if not any(character in text for character in "*?["):
        return path.exists()
    folder = Path(path.anchor or ".")
    return (
        next(folder.glob(str(Path(text).relative_to(path.anchor) if path.anchor else text)), None) is not None
    )


def _marked(section: Section, kind: type[Section]) -> Iterator[tuple[tuple[str | int, ...], PathMarker, str]]:
    for name, field in kind.model_fields.items():
        markers = [m for m in field.metadata if isinstance(m, PathMarker)]
        yield from _walk(getattr(section, name), (name,), markers or _markers(field.annotation))


def _walk(
    value: Any, where: tuple[str | int, ...], markers: list[PathMarker]
) -> Iterator[tuple[tuple[str | int, ...], PathMarker, str]]:
    if isinstance(value, Section):
        for inner, marker, path in _marked(value, type(value)):
            yield (*where, *inner), marker, path
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            yield from _walk(item, (*where, i), markers)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, (*where, key), markers)
    elif isinstance(value, str) and markers:
        yield where, markers[0], value


def _markers(annotation: Any) -> list[PathMarker]:
    found = [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, PathMarker)]
    if get_origin(annotation) in (Union, types.UnionType, dict) or found:
        for part in get_args(annotation):
            found += _markers(part)
    return found


def _set(content: Any, where: tuple[str | int, ...], value: str) -> None:
    for part in where[:-1]:
        content = content[part]
    content[where[-1]] = value
