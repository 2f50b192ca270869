"""Which folders are rendered, alone and with components."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from distributed_hbt.errors import ConfigError
from k8s.check.manifests import ROOT, Manifests, render

K8S = ROOT / "k8s"
JOBS = tuple(
    f"overlays/{name}" for name in ("smoke", "single-node", "multi-node/2x8", "multi-node/4x8", "evaluate")
)
MLFLOW = ("mlflow/base", "mlflow/overlays/access-keys", "mlflow/overlays/workload-identity")
ADMIN = "kueue-admin"
VOLUME = "volume"
COMPONENTS = ("rdma", "kueue", "s3", "spot")
COMBINATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("overlays/smoke", ("kueue", "s3")),
    ("overlays/single-node", ("rdma",)),
    ("overlays/single-node", ("kueue", "spot")),
    ("overlays/multi-node/2x8", ("s3",)),
    ("overlays/multi-node/4x8", COMPONENTS),
    ("overlays/evaluate", ("spot",)),
    ("overlays/evaluate", ("s3", "kueue", "spot")),
)
"""Overlays with the components that they are used with; the largest with all."""


@dataclass(frozen=True)
class Rendered:
    """Everything that is shipped."""

    jobs: tuple[Manifests, ...]
    mlflow: tuple[Manifests, ...]
    admin: Manifests
    volume: Manifests

    @property
    def beside(self) -> tuple[Manifests, ...]:
        """All that is no run."""
        return (*self.mlflow, self.admin, self.volume)


def render_all() -> Rendered:
    """Takes a second or so. Raises HbtError, as `render`."""
    _check_complete()
    combined = [with_components(overlay, components) for overlay, components in COMBINATIONS]
    jobs = [render(K8S / name, name) for name in JOBS]
    mlflow = tuple(render(K8S / name, name) for name in MLFLOW)
    admin, volume = render(K8S / ADMIN, ADMIN), render(K8S / VOLUME, VOLUME)
    return Rendered((*jobs, *combined), mlflow, admin, volume)


def with_components(overlay: str, components: Sequence[str]) -> Manifests:
    """As a folder beside the repository would combine them."""
    with tempfile.TemporaryDirectory(prefix="hbt-k8s-") as name:
        folder = Path(name).resolve()
        lines = ["resources:", f"- {os.path.relpath(K8S / overlay, folder)}", "components:"]
        lines += [f"- {os.path.relpath(K8S / 'components' / one, folder)}" for one in components]
        (folder / "kustomization.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return render(folder, f"{overlay} + {', '.join(components)}")


def _check_complete() -> None:
    """Raises ConfigError for a folder of k8s/ that nobody renders."""
    for folder in _kustomizations():
        if folder not in (*JOBS, *MLFLOW, ADMIN, VOLUME, "base"):
            raise ConfigError(f"k8s/{folder}", "is not checked", "name it in k8s/check/overlays.py")


def _kustomizations() -> Iterator[str]:
    for file in sorted(K8S.rglob("kustomization.yaml")):
        folder = file.parent.relative_to(K8S)
        if folder.parts[0] != "components":
            yield folder.as_posix()
        elif folder.name not in COMPONENTS:
            raise ConfigError(f"k8s/{folder}", "is not checked", "name it in k8s/check/overlays.py")
