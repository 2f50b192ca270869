"""Changing rendered objects, as a mistake in their files would."""

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

from k8s.check.manifests import Manifests

Change = Callable[[list[dict[str, Any]]], None]

JOB = "RayJob"
CLUSTER = "spec.rayClusterSpec"
GROUP = f"{CLUSTER}.workerGroupSpecs.0"
HEAD_POD = f"{CLUSTER}.headGroupSpec.template.spec"
POD = f"{GROUP}.template.spec"
WORKER = f"{POD}.containers.0"


def changed(manifests: Manifests, *changes: Change) -> Manifests:
    """The same overlay with changes; the original stays as it is."""
    objects = deepcopy(list(manifests.objects))
    for change in changes:
        change(objects)
    return replace(manifests, objects=tuple(objects))


def put(kind: str, path: str, value: Any) -> Change:
    """Set the field at a dotted path (`\\.` within a key) in every object of the kind; there must be one."""

    def change(objects: list[dict[str, Any]]) -> None:
        for holder, key in _places(objects, kind, path):
            holder[key] = deepcopy(value)

    return change


def remove(kind: str, path: str) -> Change:
    def change(objects: list[dict[str, Any]]) -> None:
        for holder, key in _places(objects, kind, path):
            del holder[key]

    return change


def rename(kind: str, path: str, name: str) -> Change:
    """Give a field another name."""

    def change(objects: list[dict[str, Any]]) -> None:
        for holder, key in _places(objects, kind, path):
            holder[name] = holder.pop(key)

    return change


def append(kind: str, path: str, value: Any) -> Change:
    def change(objects: list[dict[str, Any]]) -> None:
        for holder, key in _places(objects, kind, path):
            holder[key].append(deepcopy(value))

    return change


def argument(file: str, line: str) -> Change:
    """Add a line to a file of the arguments, or replace the one that sets the same field."""

    def change(objects: list[dict[str, Any]]) -> None:
        for one in objects:
            if one["kind"] == "ConfigMap" and file in one.get("data", {}):
                field = line.partition("=")[0] + "="
                lines = [old for old in one["data"][file].split() if not old.startswith(field)]
                one["data"][file] = "\n".join([*lines, line])
                return
        raise AssertionError(f"no ConfigMap has {file}")

    return change


def drop_kind(kind: str) -> Change:
    def change(objects: list[dict[str, Any]]) -> None:
        before = len(objects)
        objects[:] = [one for one in objects if one["kind"] != kind]
        assert len(objects) < before

    return change


def add_object(value: dict[str, Any]) -> Change:
    return lambda objects: objects.append(deepcopy(value))


def _places(objects: list[dict[str, Any]], kind: str, path: str) -> list[tuple[Any, Any]]:
    *parts, last = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path)]
    found = []
    for one in objects:
        if one["kind"] == kind:
            here: Any = one
            for part in parts:
                here = here[int(part)] if isinstance(here, list) else here[part]
            found.append((here, int(last) if isinstance(here, list) else last))
    assert found, f"no {kind} to change"
    return found
