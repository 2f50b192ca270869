"""Every command in the README and the docs is one that works."""

import gzip
import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.scripts.scripts import start as ray_start

from distributed_hbt.cli import COMMANDS as HBT_COMMANDS
from distributed_hbt.cli import main, parse
from distributed_hbt.config.load import load_run
from distributed_hbt.config.paths import check_inputs
from distributed_hbt.config.study import load_study
from distributed_hbt.studies.plan import plan_study
from tests.distributed.run_for_tests import ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "launchers/README.md",
    ROOT / "ds_configs/README.md",
    ROOT / "k8s/README.md",
]
NEEDS_NETWORK = ("git clone",)
ELSEWHERE_RUN = (". .venv/bin/activate", ".venv/bin/pytest tests/unit/losses", "mlflow ui ")
NAMES = {f"hbt {name}" for name in HBT_COMMANDS}
"""A command named in a sentence, without its arguments."""


def commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.S)
        lines = [line for block in blocks for line in block.splitlines() if line.strip()]
        lines += re.findall(r"`((?:make|hbt|accelerate|torchrun|launchers/ray_submit.sh) [^`]*)`", text)
        for line in lines:
            if not line.endswith("...") and line not in NAMES:
                yield page.name, line


COMMANDS = sorted(set(commands()))


def check_kubectl(words: list[str]) -> None:
    """What it reads is there; what it makes or names is named in a manifest."""
    manifests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "k8s").rglob("*.yaml"))
    if "-k" in words:
        assert (ROOT / words[words.index("-k") + 1] / "kustomization.yaml").is_file()
    else:
        names = {
            word.rpartition("/")[2] for word in words[1:] if re.fullmatch(r"(service/)?[a-z][a-z-]+", word)
        }
        verbs = {"get", "delete", "create", "secret", "generic", "namespace", "rayjob", "port-forward"}
        for name in names - verbs:
            assert re.search(rf"\b{name}\b", manifests), f"no manifest names {name}"
        for key in (word.partition("=")[2].partition("=")[0] for word in words if word.startswith("--from")):
            assert key == "auth_token" or f"key: {key}" in manifests


def check_docker(words: list[str]) -> None:
    """The target and the arguments are the Dockerfile's."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert words[1] == "build"
    assert words[-1] == "."
    for option, value in itertools.pairwise(words):
        if option == "--target":
            assert f" AS {value}\n" in text
        elif option == "--build-arg":
            assert f"ARG {value.partition('=')[0]}=" in text


def check_hbt(words: list[str]) -> None:
    """The command line parses, and its run file loads with its overrides."""
    options = parse(words)
    if "run_file" in options:
        load_run(ROOT / options.run_file, options.overrides)
    if "study_file" in options:
        study, overrides = load_study(ROOT / options.study_file, options.overrides)
        plan_study(study, ROOT / options.study_file, overrides)


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[c for _, c in COMMANDS])
def test_documented_command_is_valid(page: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that names an option, a target or a file that is gone. (The commands themselves are run by
    the other tests of this folder; those that need a network are only named here.)"""
    monkeypatch.chdir(ROOT)
    words = shlex.split(command)
    if command.startswith((*NEEDS_NETWORK, *ELSEWHERE_RUN)):
        return
    if words[0] == "make":
        subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif words[0] == "hbt":
        check_hbt(words[1:])
    elif words[0] == "launchers/ray_submit.sh":
        assert os.access(ROOT / words[0], os.X_OK)
        subprocess.run(["bash", "-n", ROOT / words[0]], check=True)
        check_hbt(["submit", *words[2:]])
    elif words[:2] == ["ray", "start"]:
        ray_start.make_context("ray start", words[2:])
    elif words[0] == "kubectl":
        check_kubectl(words)
    elif words[0] == "docker":
        check_docker(words)
    elif words[0] == "export":
        assert all(re.fullmatch(r"[A-Z_]+=\S+", word) for word in words[1:])
    elif words[0] in ("accelerate", "torchrun"):
        if "--config_file" in words:
            assert (ROOT / words[words.index("--config_file") + 1]).is_file()
        module = words.index("distributed_hbt.train")
        check_hbt(["train", *words[module + 1 :]])
    else:
        pytest.fail(f"{page}: nothing says how {command!r} is checked")


def test_pages_link_to_what_exists() -> None:
    """A link into the tree that leads nowhere."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_no_registry_or_machine_is_named() -> None:
    """A path of somebody's machine, or a package registry's address, in what is published."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    private = ["/ro" + "ot/", "/ho" + "me/", "index" + "-url", "pypi" + ".org"]  # split: not itself found
    pattern = re.compile("|".join(map(re.escape, private)).encode())
    files = [ROOT / name for name in listed.stdout.splitlines()]
    assert [file for file in files if file.is_file() and pattern.search(file.read_bytes())] == []


def test_cloned_data_is_read_as_it_is(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README's `data.root=lareqa`: upstream's files are not gzipped, and a run file that names .gz alone
    finds nothing."""
    (tmp_path / "xquad-r").mkdir()
    for packed in (shared_data / "xquad-r").glob("*.json.gz"):
        (tmp_path / "xquad-r" / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    run_file = ROOT / "launchers/runs/xquad_r_tiny.yaml"
    check_inputs(load_run(run_file, [f"data.root={tmp_path}"]))
    assert main(["data", "check", str(run_file), f"data.root={tmp_path}"]) == 0
    assert "10670 rows in 970 groups; 0 bad rows" in capsys.readouterr().out
