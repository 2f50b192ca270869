"""Versions of what a run depends on, without importing any of it."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "distributed-hbt",
    "torch",
    "deepspeed",
    "transformers",
    "accelerate",
    "peft",
    "datasets",
    "ray",
    "mlflow",
    "numpy",
)


def package_versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Package -> version; a package that is not installed is left out."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
