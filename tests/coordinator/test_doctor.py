"""The doctor's question to a Ray cluster that is there, as an administrator started it."""

from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.doctor import ray_cluster
from distributed_hbt.doctor.finding import Finding, Subject
from tests.coordinator.conftest import Head


@pytest.fixture
def ask(head: Head, run_file: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """ask(*overrides): what is found of the shared cluster, with its token."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, head.environment[name])

    def findings(*overrides: str) -> list[Finding]:
        return ray_cluster.check(Subject(load_run(run_file, overrides), head.address))

    return findings


def test_a_cluster_is_held_against_the_run(ask) -> None:  # type: ignore[no-untyped-def]
    """Resources of this machine instead of those at the address."""
    (found,) = ask()
    assert "has 1 node with 4 CPUs, the run takes 2 x training worker" in found.text
    assert found.status in ("ok", "warning")  # other tests' runs may hold some of it
    (found,) = ask("cluster.num_workers=8")
    assert (found.status, "missing: 4 CPUs" in found.text) == ("failure", True)


def test_a_wrong_token_is_a_failure(ask, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """A token of another cluster: Ray's own words, and what to set."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    (found,) = ask()
    assert found.status == "failure"
    assert "RAY_AUTH_TOKEN" in found.remedy
