"""Names, parameters and tags."""

import json
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.fingerprint import system_fingerprint
from distributed_hbt.config.load import validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.tracking.git_commit import GitCommit, git_commit
from distributed_hbt.tracking.names import evaluation_metrics, tracking_name
from distributed_hbt.tracking.package_versions import package_versions
from distributed_hbt.tracking.run_facts import run_params, run_tags


def config(**changes: Any) -> RunConfig:
    model = {"architecture": {"model_type": "qwen3"}, "tokenizer": "any"}
    sources = [{"format": "hbt_jsonl", "path": "rows.jsonl"}]
    return validate({"name": "run", "model": model, "data": {"sources": sources}, **changes})


def test_measures_get_names_that_mlflow_takes() -> None:
    """MLflow refuses a whole batch for one `@`."""
    assert tracking_name("nDCG@10") == "nDCG_at_10"
    assert tracking_name("cross/en-zh") == "cross/en-zh"
    assert tracking_name("größe=1") == "gr__e_1"
    summary = {
        "benchmark": "xquad_r",
        "candidate": "sentence",
        "tasks": {"mono/en": {"num_queries": 7, "measures": {"R@10": 0.5, "AP": 0.25}}},
        "aggregates": {"mono": {"R@10": 0.75}, "rank_distance": 3.5, "languages": ["en"]},
    }
    assert evaluation_metrics(summary) == {
        "xquad_r/mono/en/R_at_10": 0.5,
        "xquad_r/mono/en/AP": 0.25,
        "xquad_r/mono/R_at_10": 0.75,
        "xquad_r/rank_distance": 3.5,
    }


def test_parameters_are_the_resolved_configuration_with_dotted_names() -> None:
    """Runs are compared by these names."""
    params = run_params(config(train={"learning_rate": 2e-5, "max_steps": 200}))
    assert params["train.learning_rate"] == "2e-05"
    assert params["sampling.strategy"] == "hybrid"
    assert params["model.architecture.model_type"] == "qwen3"
    assert params["model.lora"] == "null"
    assert json.loads(params["data.sources"])[0]["path"] == "rows.jsonl"


def test_a_long_parameter_is_cut_to_what_mlflow_takes() -> None:
    """Fifty sources in a list are longer than MLflow's 6,000 characters, and it would refuse the run."""
    sources = [{"format": "hbt_jsonl", "path": "x" * 200} for _ in range(50)]
    value = run_params(config(data={"sources": sources}))["data.sources"]
    assert len(value) == 6000
    assert value.endswith("xxx...")


def test_a_password_is_no_parameter() -> None:
    """Everyone who may look at the run would read it."""
    uri = "postgresql://me:secret@host:5432/db"
    assert run_params(config(tracking={"uri": uri}))["tracking.uri"] == "postgresql://me:***@host:5432/db"


def test_tags_say_what_the_run_is() -> None:
    """A run of unknown code and versions can not be repeated."""
    made = config(tracking={"tags": {"team": "ir"}}, sampling={"strategy": "x_y"})
    tags = run_tags(
        made,
        world_size=4,
        commit=GitCommit("abc123", dirty=True),
        versions={"torch": "2.13.0"},
    )
    assert tags == {
        "strategy": "x_y",
        "model": "qwen3",
        "model_family": "qwen3",
        "fine_tuning": "full",
        "seed": "13",
        "benchmarks": "",
        "system": system_fingerprint(made),
        "world_size": "4",
        "version.torch": "2.13.0",
        "git_commit": "abc123",
        "mlflow.source.git.commit": "abc123",
        "git_dirty": "true",
        "team": "ir",
    }


def test_a_model_and_how_it_is_trained_are_named_for_people() -> None:
    """A path, or a whole architecture, in a column of a table; alpha of a strategy that has none."""

    def tags(**changes: Any) -> dict[str, str]:
        return run_tags(config(**changes), world_size=1, commit=None, versions={})

    sizes = {"model_type": "qwen3", "num_hidden_layers": 3, "hidden_size": 128}
    random = tags(model={"architecture": sizes, "tokenizer": "any", "lora": {"rank": 8}})
    assert (random["model"], random["fine_tuning"], random["alpha"]) == ("qwen3 3x128", "lora r8", "0.5")
    assert tags(model={"base": "org/name"})["model"] == "org/name"
    assert tags(model={"base": "/data/models/name-8b"})["model"] == "name-8b"
    assert "alpha" not in tags(sampling={"strategy": "x_x", "alpha": 0.25})


def test_the_family_of_a_local_base_is_read_from_its_configuration(tmp_path: Path) -> None:
    """Runs are grouped by family, and a path is none."""
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')

    def family(base: str) -> str:
        tags = run_tags(config(model={"base": base}), world_size=1, commit=None, versions={})
        return tags["model_family"]

    assert family(str(tmp_path)) == "llama"
    assert family("org/name") == "org/name"


def test_versions_are_those_installed() -> None:
    """Versions without importing the packages."""
    assert package_versions(("torch", "no-such-package")) == {"torch": version("torch")}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "package"], [*author, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return package


def test_the_commit_and_changes_of_the_checkout_are_found(checkout: Path) -> None:
    """A result of changed files must not pass for one of the commit."""
    head = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert git_commit(checkout) == GitCommit(head, dirty=False)
    (checkout / "new.py").write_text("")
    assert git_commit(checkout) == GitCommit(head, dirty=False)
    (checkout / "__init__.py").write_text("changed")
    assert git_commit(checkout) == GitCommit(head, dirty=True)


def test_a_package_outside_of_a_checkout_has_no_commit(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment inside of a user's repository would be given the user's commit."""
    installed = checkout.parent / "venv"
    installed.mkdir()
    (installed / "__init__.py").write_text("")
    assert git_commit(installed) is None
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert git_commit(checkout) is None
