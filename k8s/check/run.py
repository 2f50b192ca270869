"""The run of a RayJob: what its entrypoint comes to in the head's pod, read by hbt itself."""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from distributed_hbt.cli import parse
from distributed_hbt.config.load import dump, load_run, validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.config.yaml_file import parse as parse_yaml
from distributed_hbt.errors import HbtError
from k8s.check.manifests import ROOT, Manifests, Object, Pod
from k8s.check.shell_words import shell_words

IMAGE = PurePosixPath("/opt/hbt")
"""Where the image has launchers/ and ds_configs/ (Dockerfile)."""


@dataclass(frozen=True)
class Run:
    """What a RayJob runs."""

    command: str
    options: argparse.Namespace
    words: tuple[str, ...]
    config: RunConfig


def run_of(manifests: Manifests, job: Object, head: Pod) -> Run:
    """Raises ValueError, saying what is wrong."""
    files = mounted_files(manifests, head)
    words = shell_words(job["spec"].get("entrypoint", ""), files, variables(head))
    if words[:1] != ["hbt"] or words[1:2] not in (["submit"], ["evaluate"]):
        raise ValueError("is neither hbt submit nor hbt evaluate")
    try:
        options = parse(words[1:])
        config = _load(str(options.run_file), options.overrides, files)
    except HbtError as error:
        raise ValueError(str(error)) from error
    return Run(words[1], options, tuple(words), config)


def variables(pod: Pod) -> dict[str, str]:
    """Those that the pod's first container sets; what Kubernetes fills in stands for itself."""
    return {one["name"]: one.get("value", one["name"].lower()) for one in pod.main.get("env", [])}


def mounted_files(manifests: Manifests, pod: Pod) -> dict[str, str]:
    """Path -> text of all that ConfigMaps bring into the pod's first container."""
    maps = {
        one["name"]: one["configMap"]["name"] for one in pod.spec.get("volumes", []) if "configMap" in one
    }
    found = {}
    for mount in pod.main.get("volumeMounts", []):
        source = manifests.named("ConfigMap", maps.get(mount["name"]))
        for key, text in (source or {}).get("data", {}).items():
            found[f"{mount['mountPath'].rstrip('/')}/{key}"] = text
    return found


def _load(run_file: str, overrides: Sequence[str], files: dict[str, str]) -> RunConfig:
    """With paths as they are in the pod: run file and ds_configs are laid out as there, in a folder."""
    if run_file not in files:
        raise ValueError(f"runs {run_file}, which no ConfigMap brings")
    with tempfile.TemporaryDirectory(prefix="hbt-pod-") as folder:
        pod = Path(folder).resolve()
        shutil.copytree(ROOT / "ds_configs", pod / IMAGE.relative_to("/") / "ds_configs")
        for path, text in files.items():
            here = pod / path.lstrip("/")
            here.parent.mkdir(parents=True, exist_ok=True)
            here.write_text(text, encoding="utf-8")
        config = load_run(pod / run_file.lstrip("/"), overrides)
        return validate(parse_yaml(dump(config).replace(f"{pod}/", "/"), "the run"))
