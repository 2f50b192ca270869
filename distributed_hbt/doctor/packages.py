"""Python and packages against the ranges that the installed distribution itself declares."""

import platform
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from distributed_hbt.config.run import RunConfig
from distributed_hbt.doctor.finding import Finding, Subject

_CHECK = "packages"
_OWN = "distributed-hbt"
_SHOWN = ("torch", "deepspeed", "accelerate", "transformers", "ray", "mlflow")


def check(subject: Subject) -> list[Finding]:
    """One finding a package that is missing or outside of its range; one where all are inside."""
    try:
        own = distribution(_OWN)
    except PackageNotFoundError:
        what = f"{_OWN} is not installed, so that nothing says which versions it needs"
        return [Finding(_CHECK, "failure", what, "install it: pip install -e . in its folder")]
    wanted = list(_wanted(own, _asked_extras(subject.run)))
    found = [*_python(own), *(problem for one in wanted for problem in _problems(one))]
    if found:
        return found
    versions = ", ".join(f"{name} {distribution(name).version}" for name in _SHOWN)
    what = f"Python {platform.python_version()}, {versions}; all {len(wanted)} packages are within the ranges"
    return [Finding(_CHECK, "ok", f"{what} of {_OWN} {own.version}")]


def _python(own: Distribution) -> list[Finding]:
    asked, there = own.metadata["Requires-Python"] or "", platform.python_version()
    if SpecifierSet(asked).contains(there, prereleases=True):
        return []
    return [Finding(_CHECK, "failure", f"Python {there} is not {asked}", f"use a Python {asked}")]


def _asked_extras(run: RunConfig | None) -> frozenset[str]:
    """Packages of extras without which a setting of the run does not work."""
    if run is None:
        return frozenset()
    asked = {
        "flash-attn": run.model.attention_implementation == "flash_attention_2",
        "liger-kernel": run.train.liger_kernels,
    }
    return frozenset(package for package, is_asked in asked.items() if is_asked)


def _wanted(own: Distribution, optional: frozenset[str]) -> Iterator[Requirement]:
    """What is always needed, and the packages of `optional`, wherever an extra names them."""
    extras = own.metadata.get_all("Provides-Extra") or []
    seen = set()
    for text in own.requires or []:
        one = Requirement(text)
        name = canonicalize_name(one.name)
        named = name in optional and any(_applies(one, extra) for extra in extras)
        if (_applies(one, "") or named) and name not in seen:
            seen.add(name)
            yield one


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _problems(wanted: Requirement) -> Iterator[Finding]:
    remedy = f'pip install "{wanted.name}{_extras(wanted)}{wanted.specifier}"'
    try:
        found = distribution(wanted.name)
    except PackageNotFoundError:
        yield Finding(_CHECK, "failure", f"{wanted.name} is not installed", remedy)
        return
    if not wanted.specifier.contains(found.version, prereleases=True):
        what = f"{wanted.name} {found.version} is not {wanted.specifier}"
        yield Finding(_CHECK, "failure", what, remedy)
    missing = sorted(_missing_of_extras(wanted, found))
    if missing:
        what = f"{wanted.name}{_extras(wanted)} lacks {', '.join(missing)}"
        yield Finding(_CHECK, "failure", what, remedy)


def _missing_of_extras(wanted: Requirement, found: Distribution) -> Iterator[str]:
    """Names of what the extras in `ray[train]` ask for and is not there."""
    for text in found.requires or []:
        one = Requirement(text)
        if not _applies(one, "") and any(_applies(one, extra) for extra in wanted.extras):
            try:
                distribution(one.name)
            except PackageNotFoundError:
                yield one.name


def _extras(requirement: Requirement) -> str:
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
