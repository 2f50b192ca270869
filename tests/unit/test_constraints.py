"""constraints.txt pins everything that an installation brings."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9._!+-]+")
NOT_PINNED = {"pip", "setuptools", "wheel"}
"""Of the environment itself; `make lock` leaves them out."""


def pinned() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip()]


def of_the_project() -> list[str]:
    """What pyproject.toml asks for, the tests' tools included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["dev"]]


def needed(texts: Iterable[str], extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """The distributions that requirements name here, under these extras."""
    for text in texts:
        requirement = Requirement(text)
        wanted = extras or {""}
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": one}) for one in wanted):
            yield canonicalize_name(requirement.name), frozenset(requirement.extras)


def installed_closure() -> set[str]:
    """All distributions that `pip install -e .[dev]` has brought, by their metadata."""
    left = list(needed(of_the_project(), frozenset()))
    seen, installed = set(left), set()
    while left:
        name, extras = left.pop()
        try:
            texts = distribution(name).requires or ()
        except PackageNotFoundError:
            continue  # for another platform, or another Python
        installed.add(name)
        found = [one for one in needed(texts, extras) if one not in seen]
        left += found
        seen.update(found)
    return installed


def test_every_line_is_a_pin() -> None:
    """A range, an address or a file: another installation than the one that was tested, and audited."""
    assert [line for line in pinned() if not PIN.fullmatch(line)] == []


def test_every_distribution_that_is_needed_is_pinned() -> None:
    """A dependency of a dependency that comes in another version every day, and that no audit sees."""
    names = {canonicalize_name(line.partition("==")[0]) for line in pinned()}
    installed = installed_closure()
    assert len(installed) > 100
    assert sorted(installed - names - NOT_PINNED) == []
