"""Whether a run that was killed many times left what the undisturbed one did."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

OF_TIME = ("seconds", "tokens_per_second")
"""Fields of train.jsonl that no two runs have alike."""
OF_CARD = (b"| MLflow run |", b"| commit |")
"""Lines of a model card that no two runs have alike, or two runs with a commit between them."""
LEFTOVERS = (".partial", ".work", ".tmp", ".old")


def differences(whole: Path, killed: Path) -> list[str]:
    """What differs between two run directories, in words; nothing where they are equal."""
    return [
        *_log_differences(whole, killed),
        *_checkpoint_differences(whole, killed),
        *byte_differences(whole / "evaluation", killed / "evaluation"),
    ]


def byte_differences(whole: Path, killed: Path) -> Iterator[str]:
    """Of all files below two folders, but for the lines of a model card that differ anyway."""
    expected, found = _files(whole), _files(killed)
    if not expected:
        yield f"{whole} holds nothing to compare with"
    yield from (f"{killed.name}/{name} is missing" for name in sorted(expected - found))
    yield from (f"{killed.name}/{name} should not be there" for name in sorted(found - expected))
    for name in sorted(expected & found):
        if _content(whole / name) != _content(killed / name):
            yield f"{killed.name}/{name} has other bytes"


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name != "README.md":
        return content
    return b"".join(line for line in content.splitlines(True) if not line.startswith(OF_CARD))


def leftovers(*folders: Path) -> list[str]:
    """What killed writers have left, anywhere below."""
    return sorted(
        str(path.relative_to(folder.parent))
        for folder in folders
        for path in folder.rglob("*")
        if any(mark in path.name for mark in LEFTOVERS)
    )


def _log_differences(whole: Path, killed: Path) -> Iterator[str]:
    expected, found = _steps(whole / "train.jsonl"), _steps(killed / "train.jsonl")
    if [line["step"] for line in found] != list(range(1, len(expected) + 1)):
        yield f"train.jsonl has steps {[line['step'] for line in found]}"
    for one, other in zip(expected, found, strict=False):
        if one != other:
            yield f"train.jsonl differs at step {one['step']}: {one} and {other}"
            return


def _steps(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in line.items() if k not in OF_TIME} for line in lines]


def _checkpoint_differences(whole: Path, killed: Path) -> Iterator[str]:
    expected = sorted(path.name for path in (whole / "checkpoints").iterdir())
    found = sorted(path.name for path in (killed / "checkpoints").iterdir())
    if expected != found:
        yield f"checkpoints are {found}, not {expected}"
    for name in sorted({*expected} & {*found}):
        one, other = whole / "checkpoints" / name, killed / "checkpoints" / name
        yield from (f"{name}: {text}" for text in byte_differences(one / "encoder", other / "encoder"))
        yield from (f"{name}: {text}" for text in _engine_differences(one / "engine", other / "engine"))
        yield from (f"{name}: {text}" for text in _state_differences(one, other))


def _state_differences(one: Path, other: Path) -> Iterator[str]:
    expected, found = (json.loads((path / "state.json").read_text()) for path in (one, other))
    for key in expected.keys() | found.keys():
        if key != "tracking_run" and expected.get(key) != found.get(key):
            yield f"state.json has {key} {found.get(key)}, not {expected.get(key)}"


def _engine_differences(one: Path, other: Path) -> Iterator[str]:
    if _files(one) != _files(other):
        yield f"the engine's files are {sorted(_files(other))}, not {sorted(_files(one))}"
    for name in sorted(_files(one) & _files(other)):
        if name.endswith(".pt"):
            # Files that this test has just made: plain unpickling runs nobody else's code.
            expected, found = (torch.load(folder / name, weights_only=False) for folder in (one, other))
            yield from (f"engine/{name}{text}" for text in _tree_differences(expected, found))


def _tree_differences(expected: Any, found: Any, where: str = "") -> Iterator[str]:
    """Of tensors bit for bit, of plain values by ==, of everything else by its attributes."""
    if type(expected) is not type(found):
        yield f"{where} is a {type(found).__name__}, not a {type(expected).__name__}"
    elif isinstance(expected, torch.Tensor):
        same = expected.dtype == found.dtype and expected.shape == found.shape
        if not (same and torch.equal(_bits(expected), _bits(found))):
            yield f"{where}: another tensor"
    elif isinstance(expected, dict):
        if [*map(str, expected)] != [*map(str, found)]:
            yield f"{where} has the keys {[*found]}, not {[*expected]}"
            return
        for (key, one), other in zip(expected.items(), found.values(), strict=True):
            yield from _tree_differences(one, other, f"{where}[{key}]")
    elif isinstance(expected, list | tuple):
        if len(expected) != len(found):
            yield f"{where} has {len(found)} entries, not {len(expected)}"
        for i, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from _tree_differences(one, other, f"{where}[{i}]")
    elif isinstance(expected, str | int | float | bool | None):
        if expected != found:
            yield f"{where} is {found!r}, not {expected!r}"
    elif hasattr(expected, "__dict__"):
        yield from _tree_differences(vars(expected), vars(found), f"{where}.")


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().flatten().contiguous().view(torch.uint8)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
