"""A whole run as MLflow keeps it, in a database file, behind a server, and behind one with PostgreSQL and S3;
and as it is fetched from there."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.fingerprint import system_fingerprint
from distributed_hbt.config.load import load_run
from distributed_hbt.data.store import open_store
from distributed_hbt.errors import ConfigError
from distributed_hbt.tracking.fetch import fetch_run, find_runs
from tests.distributed.run_for_tests import write_run
from tests.lareqa_files import write_lareqa
from tests.mlflow_server import mlflow_server

STEPS = ("step-00000002", "step-00000004")


@pytest.fixture(scope="module", params=["sqlite", "server", "postgres and s3"])
def uri(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "postgres and s3":
        yield request.getfixturevalue("stack").server.uri
        return
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield f"sqlite:///{folder}/mlflow.db"
        return
    with mlflow_server(folder) as address:
        yield address


@pytest.fixture(scope="module")
def run(uri: str, programs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of 4 steps, two of them evaluated."""
    folder = tmp_path_factory.mktemp("run")
    benchmark = write_lareqa(folder / "tiny", ["de", "en"])
    run_file = write_run(
        folder,
        train={"max_steps": 4, "checkpoint_every": 2},
        evaluation={"every": 2, "benchmarks": [benchmark]},
        tracking={"uri": uri, "experiment": "whole"},
    )
    done = programs.run(sys.executable, "-m", "distributed_hbt.train", run_file)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "tiny"


@pytest.fixture
def kept(uri: str, run: Path) -> Any:
    """(client, the run as MLflow has it)."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    return client, client.get_run(json.loads((run / "mlflow.json").read_text())["run_id"])


def test_a_run_is_found_by_its_tags(uri: str, run: Path, kept: Any) -> None:
    """Runs that can only be told apart by reading their configuration."""
    client, found = kept
    tags = found.data.tags
    state = json.loads((run / "checkpoints" / STEPS[1] / "state.json").read_text())
    store = open_store(run.parent / "stores" / state["store"])
    assert tags["strategy"] == "hybrid"
    assert tags["alpha"] == "0.5"
    assert tags["model"] == "qwen3 2x32"
    assert tags["fine_tuning"] == "full"
    assert tags["languages"] == "de,en,es"
    assert tags["seed"] == "13"
    assert tags["benchmarks"] == "tiny"
    assert tags["system"] == system_fingerprint(load_run(run / "config.yaml"))
    assert tags["data_fingerprint"] == store.data_fingerprint
    wanted = f"tags.system = '{tags['system']}' and tags.seed = '13'"
    assert len(client.search_runs([found.info.experiment_id], wanted)) == 1


def test_data_is_there_with_its_fingerprint_and_counts(run: Path, kept: Any) -> None:
    """A path alone, under which other data may lie tomorrow. Two evaluations are of one dataset."""
    _, found = kept
    inputs = {one.dataset.name: one for one in found.inputs.dataset_inputs}
    assert sorted(inputs) == ["0-hbt_jsonl", "tiny"]
    source, benchmark = inputs["0-hbt_jsonl"], inputs["tiny"]
    assert [(tag.key, tag.value) for tag in source.tags] == [("mlflow.data.context", "training")]
    assert [(tag.key, tag.value) for tag in benchmark.tags] == [("mlflow.data.context", "evaluation")]
    assert json.loads(source.dataset.profile) == {
        "queries": 120,
        "groups": 40,
        "queries_per_language": {"de": 40, "en": 40, "es": 40},
    }
    assert json.loads(source.dataset.source)["path"].endswith("train.jsonl")
    assert len(source.dataset.digest) == 32
    profile = json.loads(benchmark.dataset.profile)
    assert (profile["num_queries"], profile["num_candidates"]) == (24, 24)
    summary = json.loads((run / "evaluation" / STEPS[1] / "tiny" / "summary.json").read_text())
    assert benchmark.dataset.digest == summary["data_fingerprint"]


def test_what_a_comparison_needs_is_kept_and_no_run_files(run: Path, kept: Any) -> None:
    """Gigabytes of rankings on a server, or figures that no test of significance can be made of."""
    client, found = kept
    run_id = found.info.run_id
    assert sorted(one.path for one in client.list_artifacts(run_id)) == [
        *("config.yaml", "evaluation", "train.jsonl")
    ]
    for step in STEPS:
        paths = [one.path for one in client.list_artifacts(run_id, f"evaluation/{step}/tiny")]
        assert sorted(Path(path).name for path in paths) == ["per_query.parquet", "summary.json"]


def test_a_fetched_run_is_a_run_directory(uri: str, run: Path, tmp_path: Path) -> None:
    """Runs of other machines that can not be compared with those of this one."""
    (run_id,) = find_runs(uri, "whole")
    for _ in range(2):  # what was there before is replaced
        folder = fetch_run(uri, run_id, tmp_path)
    assert folder == tmp_path / run_id / "tiny"
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    files = [
        f"evaluation/{step}/tiny/{name}" for step in STEPS for name in ("per_query.parquet", "summary.json")
    ]
    assert there == ["config.yaml", *files, "mlflow.json", "train.jsonl"]
    for name in there:
        if name != "mlflow.json":
            assert (folder / name).read_bytes() == (run / name).read_bytes()
    assert json.loads((folder / "mlflow.json").read_text()) == json.loads((run / "mlflow.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == [run_id]


def test_finished_runs_are_found_newest_first_and_studies_are_not_runs(
    uri: str, run: Path, kept: Any, tmp_path: Path
) -> None:
    """A parent of runs, or one that broke off, in a table of results."""
    client, _ = kept
    experiment = client.create_experiment("several")
    ids = {}
    for i, (name, tags, status) in enumerate(
        [
            ("first", {}, "FINISHED"),
            ("study", {"hbt.kind": "study"}, "FINISHED"),
            ("child", {"mlflow.parentRunId": "x", "hbt.kind": "run"}, "FINISHED"),
            ("broken", {}, "FAILED"),
        ]
    ):
        ids[name] = client.create_run(experiment, start_time=1000 + i, tags=tags).info.run_id
        client.set_terminated(ids[name], status)
    assert find_runs(uri, "several") == [ids["child"], ids["first"]]
    with pytest.raises(ConfigError, match="keeps no config"):
        fetch_run(uri, ids["first"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_named_in_one_line(uri: str, run: Path, tmp_path: Path) -> None:
    """A traceback of MLflow, or an empty table."""
    with pytest.raises(
        ConfigError, match=r"^absent: is no experiment of [^\n]*; choose among .*whole[^\n]*$"
    ):
        find_runs(uri, "absent")
    for wrong in ("0" * 32, "no id at all"):
        with pytest.raises(ConfigError, match=rf"^{wrong}: is no run of [^\n]*$"):
            fetch_run(uri, wrong, tmp_path)
