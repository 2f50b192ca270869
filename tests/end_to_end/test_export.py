"""A real run, exported: its model card."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from sentence_transformers import SentenceTransformer

from distributed_hbt.cli import main
from distributed_hbt.config.load import load_run
from distributed_hbt.tracking.package_versions import package_versions
from tests.distributed.run_for_tests import ROOT, write_run
from tests.lareqa_files import write_lareqa

STEP = "step-00000004"


@pytest.fixture(scope="module")
def run(programs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of 4 steps, evaluated after the last of them."""
    folder = tmp_path_factory.mktemp("run")
    benchmark = write_lareqa(folder / "tiny", ["de", "fr"])
    run_file = write_run(
        folder,
        train={"max_steps": 4, "checkpoint_every": 2},
        sampling={"languages": ["de", "en"]},
        evaluation={"benchmarks": [benchmark]},
    )
    done = programs.run(sys.executable, "-m", "distributed_hbt.train", run_file)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "tiny"


def exported(run: Path, step: str, out: Path) -> str:
    assert main(["export", str(run / "checkpoints" / step), "--out", str(out)]) == 0
    return (out / "README.md").read_text()


def test_the_card_says_what_the_run_knows(run: Path, tmp_path: Path) -> None:
    """Figures of another checkpoint; a setting that was overridden; data that nobody can name."""
    card = exported(run, STEP, tmp_path / "out")
    facts = yaml.safe_load(card.split("---\n")[1])
    assert facts["language"] == ["de", "en"]
    assert facts["library_name"] == "sentence-transformers"
    assert facts["pipeline_tag"] == "sentence-similarity"
    assert "base_model" not in facts
    for row in (
        f"| 0: hbt_jsonl | {run.parent.parent.name}/train.jsonl | 120 | 40 | de 40, en 40, es 40 |",
        "| batches | hybrid, alpha 0.5, languages uniform |",
        "| steps | 4 of 4 |",
        "| learning rate | 0.001, linear, 2 steps warm-up |",
        "| ranks | 1 |",
        "| ZeRO stage | 2 |",
    ):
        assert row in card
    assert "Trained on, and not evaluated in: en." in card
    assert "Evaluated in, and not trained on: fr." in card
    assert "torchrun --standalone --nproc-per-node 1 -m distributed_hbt.train training_config.yaml" in card
    assert f"torch {package_versions()['torch']}" in card
    assert json.loads((run / "mlflow.json").read_text())["run_id"] in card
    assert str(run.parent) not in card


def test_every_figure_stands_there_with_its_interval(run: Path, tmp_path: Path) -> None:
    """A measure that is left out, or an interval that does not hold its figure."""
    card = exported(run, STEP, tmp_path / "out")
    summary = json.loads((run / "evaluation" / STEP / "tiny" / "summary.json").read_text())
    rows = {
        cells[1].strip(): (cells[2], cells[3])
        for line in card.splitlines()
        if len(cells := line.split("|")) == 5 and cells[1].strip() not in ("figure", "---")
    }
    wanted = {
        f"{group} {measure}".strip(): value
        for group, content in summary["aggregates"].items()
        for measure, value in (content.items() if isinstance(content, dict) else [("", content)])
    }
    assert rows.keys() == wanted.keys()
    assert {"mono AP", "cross R@1", "multi R@10", "pool AP", "rank_distance"} <= rows.keys()
    assert {name for name, (_, interval) in rows.items() if not interval.strip()} == {"pool AP", "peer"}
    for name, (value, interval) in rows.items():
        assert float(value) == pytest.approx(wanted[name], abs=0.051)
        if not interval.strip():
            continue
        low, high = (float(end) for end in interval.split(" to "))
        assert low <= float(value) <= high
    assert "queries: 24; candidates: 24; languages: de, fr; candidate: sentence." in card


def test_a_checkpoint_that_was_not_evaluated_says_so(run: Path, tmp_path: Path) -> None:
    """The figures of the last checkpoint over an earlier one."""
    card = exported(run, "step-00000002", tmp_path / "out")
    assert "| steps | 2 of 4 |" in card
    assert "This checkpoint was not evaluated, or its results are not there." in card
    assert "The training went on after this checkpoint, to step 4." in card


def test_the_attached_configuration_is_the_run_s(run: Path, tmp_path: Path) -> None:
    """A file that can not be started from, or that gives away where the team's server is."""
    exported(run, STEP, tmp_path / "out")
    attached = load_run(
        tmp_path / "out" / "training_config.yaml", [f"tracking.uri=sqlite:///{tmp_path}/x.db"]
    )
    trained = load_run(run / "config.yaml", [f"tracking.uri=sqlite:///{tmp_path}/x.db"])
    assert attached == trained
    SentenceTransformer(str(tmp_path / "out"), device="cpu")


def test_a_run_whose_record_and_store_are_gone_is_exported_all_the_same(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that was switched off years ago keeps a model from being published."""
    record, stores = run.parent / "mlflow.db", run.parent / "stores"
    for path in (record, stores):
        path.rename(path.with_suffix(".gone"))
    try:
        card = exported(run, STEP, tmp_path / "out")
    finally:
        for path in (record, stores):
            path.with_suffix(".gone").rename(path)
    assert "names neither commit nor versions of the training" in caplog.text
    assert "| commit | not known |" in card
    data = f"{run.parent.parent.name}/train.jsonl"
    assert f"| 0: hbt_jsonl | {data} | not known | not known | not known |" in card
    assert "The store of the training data is gone" in card


def test_a_registered_model_is_linked_to_the_run_that_trained_it(run: Path, tmp_path: Path) -> None:
    """Versions of a model of which nobody can tell where they came from."""
    import mlflow

    arguments = ["--out", str(tmp_path / "out"), "--register", "linked"]
    assert main(["export", str(run / "checkpoints" / STEP), *arguments]) == 0
    recorded = json.loads((run / "mlflow.json").read_text())
    client = mlflow.MlflowClient(recorded["tracking_uri"])
    before = client.get_run(recorded["run_id"])
    assert before.info.status == "FINISHED"
    version = client.get_model_version("linked", "1")
    assert version.run_id == recorded["run_id"]
    (output,) = before.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (output.step, model.source_run_id, model.status) == (4, recorded["run_id"], "READY")
    assert model.experiment_id == recorded["experiment_id"]


def test_a_model_can_be_registered_in_a_store_that_never_saw_the_run(
    run: Path, programs: Any, tmp_path: Path
) -> None:
    """A database of MLflow's own choice in the working directory; a link to nothing; noise on a terminal."""
    import mlflow

    uri = f"sqlite:///{tmp_path}/other.db"
    where = ["export", str(run / "checkpoints" / STEP), "--out", str(tmp_path / "out")]
    before = {path.name for path in ROOT.iterdir()}
    done = programs.run(
        *(sys.executable, "-m", "distributed_hbt.cli", *where, "--register", "other", "--tracking-uri", uri)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out'}\nmodels:/other/1\n"
    run_id = json.loads((run / "mlflow.json").read_text())["run_id"]
    assert done.stderr == f"{uri} has no run {run_id}: the model is not linked to it\n"
    assert {path.name for path in ROOT.iterdir()} == before
    version = mlflow.MlflowClient(uri).get_model_version("other", "1")
    assert not version.run_id
