"""The objects of one overlay, rendered, and the pods in them."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from distributed_hbt.errors import ConfigError, DataError
from k8s.check.finding import Finding

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
"""Of the repository."""


@dataclass(frozen=True)
class Pod:
    """A pod's template, where it stands, and how many there are of it."""

    of: Object
    path: str
    template: Object
    count: int = 1
    start: Mapping[str, str] | None = None
    """Ray's start parameters; None where it is no pod of Ray."""
    is_head: bool = False

    @property
    def spec(self) -> Object:
        spec: Object = self.template["spec"]
        return spec

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.template.get("metadata", {}).get("labels", {})
        return labels

    @property
    def main(self) -> Object:
        """The first container; in a pod of Ray, Ray's."""
        container: Object = self.spec["containers"][0]
        return container

    def containers(self) -> Iterator[tuple[str, Object]]:
        """(path, container), those of the start included."""
        for kind in ("initContainers", "containers"):
            for i, container in enumerate(self.spec.get(kind) or []):
                yield f"{self.path}.spec.{kind}[{i}]", container

    def limits(self) -> Mapping[str, str]:
        """Of the first container."""
        limits: Mapping[str, str] = self.main.get("resources", {}).get("limits", {})
        return limits


@dataclass(frozen=True)
class Manifests:
    """What `kubectl kustomize` makes of one folder."""

    overlay: str
    objects: tuple[Object, ...]

    def of_kind(self, *kinds: str) -> list[Object]:
        return [one for one in self.objects if one.get("kind") in kinds]

    def named(self, kind: str, name: str | None) -> Object | None:
        return next((one for one in self.of_kind(kind) if one["metadata"]["name"] == name), None)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Of RayJobs, Deployments and Jobs."""
        found = [pod for job in self.of_kind("RayJob") for pod in ray_pods(job)]
        for one in self.of_kind("Deployment", "Job"):
            count = one["spec"].get("replicas", 1)
            found.append(Pod(one, "spec.template", one["spec"]["template"], count))
        return tuple(found)

    def finding(self, rule: str, of: Object, path: str, what: str, remedy: str) -> Finding:
        return Finding(self.overlay, name_of(of), path, rule, what, remedy)


Rule = Callable[[Manifests], Iterator[Finding]]
"""Looks at all objects of one overlay."""


def name_of(one: Object) -> str:
    """`Kind/name`, for people."""
    return f"{one.get('kind')}/{one.get('metadata', {}).get('name')}"


def ray_pods(job: Object) -> Iterator[Pod]:
    """The head's pod, then those of the groups of workers."""
    cluster = job["spec"].get("rayClusterSpec", {})
    path, head = "spec.rayClusterSpec.headGroupSpec", cluster.get("headGroupSpec")
    if head is not None:
        yield Pod(job, f"{path}.template", head["template"], 1, head.get("rayStartParams", {}), is_head=True)
    for i, group in enumerate(cluster.get("workerGroupSpecs") or []):
        path = f"spec.rayClusterSpec.workerGroupSpecs[{i}].template"
        count, start = group.get("replicas", 0), group.get("rayStartParams", {})
        yield Pod(job, path, group["template"], count, start)


def render(folder: Path, overlay: str) -> Manifests:
    """What kubectl makes of the folder. Raises ConfigError without kubectl, DataError where it refuses."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ConfigError("kubectl", "is not there", "install it: kubernetes.io/docs/tasks/tools")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(overlay, f"kubectl can not render it ({done.stderr.strip()})", "correct the folder")
    documents = yaml.load_all(done.stdout, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return Manifests(overlay, tuple(one for one in documents if one is not None))
