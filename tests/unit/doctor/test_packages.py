"""Versions against the ranges that an installed distribution declares."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from distributed_hbt.doctor.finding import Finding, Subject
from distributed_hbt.doctor.packages import check

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """install(name, version, requires=...): a distribution that stands before those of the environment."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, version: str, requires: Sequence[str] = (), python: str = ">=3.11") -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Python: {python}", "Provides-Extra: gpu", "Provides-Extra: train"]
        lines += [f"Requires-Dist: {one}" for one in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")

    return write


def texts(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.status, finding.text, finding.remedy) for finding in findings]


def test_this_environment_is_within_the_ranges() -> None:
    """A check that finds fault with what the tests themselves run on."""
    (found,) = check(Subject())
    assert found.status == "ok"
    assert "torch 2." in found.text


def test_a_package_outside_of_its_range_is_named_with_both(install: Install) -> None:
    """A newer major version that breaks the run an hour later."""
    install("some-package", "3.1")
    install("distributed-hbt", "9.9", ["some-package<3,>=2", "numpy>=2"])
    assert texts(check(Subject())) == [
        ("failure", "some-package 3.1 is not <3,>=2", 'pip install "some-package<3,>=2"')
    ]


def test_a_package_that_is_missing_is_named(install: Install) -> None:
    """An ImportError in the middle of a run."""
    install("distributed-hbt", "9.9", ["not-there-at-all>=1"])
    assert texts(check(Subject())) == [
        ("failure", "not-there-at-all is not installed", 'pip install "not-there-at-all>=1"')
    ]


def test_a_package_without_its_extra_is_named(install: Install) -> None:
    """`pip install ray` where `ray[train]` is needed."""
    install("half", "1.0", ['not-there-at-all; extra == "train"', 'nor-this; extra == "gpu"'])
    install("distributed-hbt", "9.9", ["half[train]>=1"])
    assert texts(check(Subject())) == [
        ("failure", "half[train] lacks not-there-at-all", 'pip install "half[train]>=1"')
    ]


def test_another_python_is_refused(install: Install) -> None:
    """A Python that pip was told to ignore."""
    install("distributed-hbt", "9.9", python=">=4")
    (found,) = check(Subject())
    assert found.status == "failure"
    assert found.text.endswith("is not >=4")


def test_packages_of_an_extra_are_needed_where_the_run_says_so(install: Install, examined) -> None:  # type: ignore[no-untyped-def]
    """liger-kernel is missed only at the first step; and nobody needs it who has not asked for it."""
    install("distributed-hbt", "9.9", ['liger-kernel>=999; extra == "gpu"'])
    assert [finding.status for finding in check(examined())] == ["ok"]
    (found,) = check(examined("train.liger_kernels=true"))
    assert (found.status, found.remedy) == ("failure", 'pip install "liger-kernel>=999"')
