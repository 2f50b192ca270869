"""What a run reads: settings, data, models, the hub."""

import http.server
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.doctor import data, model, settings
from distributed_hbt.doctor.finding import Finding
from tests.local_hub import served_by
from tests.unit.doctor.conftest import Examined


def failures(findings: list[Finding]) -> list[str]:
    return [finding.text for finding in findings if finding.status == "failure"]


def test_settings_that_do_not_fit_are_all_named(tmp_path: Path, examined: Examined) -> None:
    """One fault at a time, each after a night in the queue."""
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    (tmp_path / "file").touch()
    overrides = ("train.global_batch_size=9", f"train.deepspeed={tmp_path}/bad.json")
    found = failures(settings.check(examined(*overrides, f"output_dir={tmp_path}/file/runs")))
    assert [text.partition(":")[0] for text in found] == [
        f"{tmp_path}/bad.json",
        "train.global_batch_size",
        "output_dir",
    ]
    assert failures(settings.check(examined())) == []


def test_missing_and_broken_files_are_all_named(tmp_path: Path, examined: Examined) -> None:
    """Only the first of several wrong paths; a file that is there and is no data."""
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"no gzip")
    sources = f"[{{format: hbt_jsonl, path: /absent.jsonl}}, {{format: hbt_jsonl, path: {broken}}}]"
    benchmarks = "[{name: xquad_r, root: /absent}]"
    subject = examined(f"data.sources={sources}", f"evaluation.benchmarks={benchmarks}")
    found = failures(data.check(subject))
    assert len(found) == 3
    assert any(text.startswith("data.sources.0.path") for text in found)
    assert any(text.startswith("evaluation.benchmarks.0.root") for text in found)
    assert any("broken.jsonl.gz" in text for text in found)
    assert failures(data.check(examined())) == []


def test_a_source_without_rows_is_a_failure(tmp_path: Path, examined: Examined) -> None:
    """An empty file, for example of a disk that was full."""
    (tmp_path / "empty.jsonl").touch()
    subject = examined(f"data.sources=[{{format: hbt_jsonl, path: {tmp_path}/empty.jsonl}}]")
    assert "has no rows" in failures(data.check(subject))[0]


def test_folders_of_models_are_looked_through(tmp_path: Path, examined: Examined) -> None:
    """A shard that was not copied, found by rank 7 after all the others had loaded theirs."""
    folder = tmp_path / "base"
    folder.mkdir()
    base = ("model.architecture=null", "model.tokenizer=null", f"model.base={folder}")
    assert "config.json" in failures(model.check(examined(*base)))[0]
    (folder / "config.json").write_text('{"model_type": "qwen3"}', encoding="utf-8")
    assert "has no weights" in failures(model.check(examined(*base)))[0]
    weights = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(weights), encoding="utf-8")
    (folder / "one.safetensors").touch()
    assert "lacks 1 of 2 files of weights, as two.safetensors" in failures(model.check(examined(*base)))[0]


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub that has the model owner/there and nothing else."""

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = self.path == "/api/models/owner/there"
            self.send_response(200 if there else 404)
            self.end_headers()
            if there:
                self.wfile.write(json.dumps({"id": "owner/there", "siblings": []}).encode())

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with served_by(Hub) as address:
        yield address


_ASK = """
import sys
from distributed_hbt.doctor.hub import hub_finding, repository_finding
asked = [repository_finding("model", name, "model", None) for name in ("owner/there", "owner/absent")]
for finding in [*asked, hub_finding("model")]:
    print(finding.status, finding.text)
"""


def ask(endpoint: str, folder: Path, offline: str) -> list[str]:
    """The hub's client reads its settings when it is imported: a process of its own."""
    import os

    variables = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder), "HF_HUB_OFFLINE": offline}
    done = subprocess.run(
        [sys.executable, "-c", _ASK],
        env={**os.environ, **variables, "no_proxy": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_hub_is_asked_for_the_very_repository(hub: str, tmp_path: Path) -> None:
    """A name with a typo, or a gated model, found after the data has been tokenized."""
    there, absent, answers = ask(hub, tmp_path, "0")
    assert there == f"ok owner/there can be fetched from {hub}"
    assert absent.startswith("failure owner/absent can not be fetched")
    assert answers == f"ok {hub} answers"


def test_a_hub_that_is_away_is_not_waited_for(tmp_path: Path) -> None:
    """Nothing listens: the client would try again and again."""
    there, _, answers = ask("http://127.0.0.1:9", tmp_path, "0")
    assert there.startswith("failure owner/there can not be fetched")
    assert answers.startswith("warning http://127.0.0.1:9 does not answer")


def test_without_a_network_the_cache_counts(tmp_path: Path) -> None:
    """HF_HUB_OFFLINE on a node whose cache is empty."""
    folder = tmp_path / "hub" / "models--owner--there"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("0" * 40) / "config.json").write_text("{}")
    there, absent, answers = ask("http://127.0.0.1:9", tmp_path, "1")
    assert there.startswith("ok owner/there is in the hub's cache")
    assert absent.startswith("failure owner/absent is not in the hub's cache")
    assert answers.startswith("ok")
