"""Every command in the README and the docs is one that works."""

import gzip
import importlib
import itertools
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
from accelerate.commands.launch import launch_command_parser
from mlflow.cli import cli as mlflow_cli
from ray.scripts.scripts import cli as ray_cli
from torch.distributed.run import get_args_parser

from distributed_hbt.cli import COMMANDS as HBT_COMMANDS
from distributed_hbt.cli import main, parse
from distributed_hbt.config.load import load_run
from distributed_hbt.config.paths import check_inputs
from distributed_hbt.config.study import load_study
from distributed_hbt.studies.plan import plan_study
from tests.distributed.run_for_tests import ROOT
from tests.documents import PAGES, commands

NAMES = {f"hbt {name}" for name in HBT_COMMANDS}
"""A command named in a sentence, without its arguments."""
COMMANDS = sorted(
    {(one.name, one.text) for one in commands() if not one.text.endswith("...") and one.text not in NAMES}
)
CLICK: dict[str, click.Command] = {"ray": ray_cli, "mlflow": mlflow_cli}
ONLY_WALKED = ("mkdir", "cat", ".", ".venv/bin/pytest", "git")
"""Programs of which the shell's own syntax is checked here, and no more."""


def check_hbt(words: list[str]) -> None:
    """The command line parses, and its run file loads with its overrides. (One below own/ is written by the
    page itself, and loaded where the page is walked.)"""
    options = parse(words)
    if getattr(options, "run_file", None) and not str(options.run_file).startswith("own/"):
        load_run(ROOT / options.run_file, options.overrides)
    if "study_file" in options:
        study, overrides = load_study(ROOT / options.study_file, options.overrides)
        plan_study(study, ROOT / options.study_file, overrides)


def check_launcher(words: list[str]) -> None:
    """accelerate's and torchrun's own parsers take the line, and its configuration is there."""
    if words[0] == "accelerate":
        options = launch_command_parser().parse_args(words[2:])
        assert (ROOT / options.config_file).is_file()
        check_hbt(["train", *options.training_script_args])
    else:
        options = get_args_parser().parse_args(words[1:])
        check_hbt(["train", *options.training_script_args])


def check_script(words: list[str]) -> list[str]:
    """The script is there and is one; what is given to it."""
    subprocess.run(["bash", "-n", ROOT / words[0]], check=True)
    return words[1:]


def check_click(command: click.Command, words: list[str]) -> None:
    """The program's own parser takes the line."""
    while isinstance(command, click.Group):
        name, words = words[0], words[1:]
        found = command.get_command(click.Context(command), name)
        assert found is not None, name
        command = found
    command.make_context(str(command.name), list(words))


def check_kubectl(words: list[str]) -> None:
    """What it reads is there; what it makes or names is named in a manifest."""
    manifests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "k8s").rglob("*.yaml"))
    if "-k" in words:
        assert (ROOT / words[words.index("-k") + 1] / "kustomization.yaml").is_file()
        return
    names = {word.rpartition("/")[2] for word in words[1:] if re.fullmatch(r"(service/)?[a-z][a-z-]+", word)}
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


def check_pip(words: list[str]) -> None:
    """Extras that there are, packages that the project knows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wanted in words[1:]:
        if extra := re.fullmatch(r"\.\[(\w+)\]", wanted):
            assert extra.group(1) in project["optional-dependencies"]
        elif wanted != "-e":
            assert wanted in (ROOT / "pyproject.toml").read_text()


def check_module(words: list[str]) -> None:
    """A program of this repository beside hbt: its own parser takes the line."""
    assert words[0] == "-m"
    importlib.import_module(words[1]).parser().parse_args(words[2:])


def check(words: list[str]) -> None:
    """By the program's own parser, where it has one that can be asked."""
    program = words[0]
    if program == "make":
        subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)
    elif program == "hbt":
        check_hbt(words[1:])
    elif program in ("accelerate", "torchrun"):
        check_launcher(words)
    elif program == "launchers/ray_submit.sh":
        assert os.access(ROOT / program, os.X_OK)
        check_hbt(["submit", *check_script(words)[1:]])
    elif program == "sbatch":
        script = next(i for i, word in enumerate(words) if word.endswith(".sbatch"))
        assert all(word.startswith("--") for word in words[1:script])
        check_hbt(["train", *check_script(words[script:])])
    elif program in CLICK:
        check_click(CLICK[program], words[1:])
    elif program == "kubectl":
        check_kubectl(words)
    elif program == "docker":
        check_docker(words)
    elif program == "python":
        check_module(words[1:])
    elif program == "pip":
        check_pip(words[1:])
    elif program == "export":
        assert all(re.fullmatch(r"[A-Z0-9_]+=\S+", word) for word in words[1:])
    else:
        assert program in ONLY_WALKED, f"nothing says how {program} is checked"


@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{page}: {text.splitlines()[0]}" for page, text in COMMANDS]
)
def test_documented_command_is_valid(page: str, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that names an option, a target or a file that is gone. This is for all of them; what the page
    marks with no need is run as well (test_docs_walk.py)."""
    monkeypatch.chdir(ROOT)
    subprocess.run(["bash", "-n"], input=command, text=True, check=True)
    check(shlex.split(command.partition("<<")[0]))


def test_pages_link_to_what_exists() -> None:
    """A link into the tree that leads nowhere."""
    for page in filter(Path.exists, PAGES):
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
