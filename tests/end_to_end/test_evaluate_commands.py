"""evaluate, score and compare on one encoder: figures that three programs give alike."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from distributed_hbt.checkpoint_marker import facts_of, write_marker
from distributed_hbt.cli import main
from distributed_hbt.config.load import load_run
from distributed_hbt.data.trained_tokenizer import prepare_tokenizer
from distributed_hbt.demo.sample.write import write_sample
from distributed_hbt.demo.strategies import write_run
from distributed_hbt.demo.untrained import evaluate_untrained
from distributed_hbt.evaluation.trec_run import run_path
from distributed_hbt.run_directory import RunDirectory
from tests.unit.test_checkpoint_marker import flip


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunDirectory]:
    """A run file, and its run directory with an untrained encoder as the checkpoint of step 1."""
    out = tmp_path_factory.mktemp("evaluated")
    sample = write_sample(out / "sample")
    (out / "zero2.json").write_text('{"zero_optimization": {"stage": 2}}')
    run_file = write_run("hybrid", 13, out, sample)
    config = load_run(run_file)
    prepare_tokenizer(config, out / "stores")
    directory = RunDirectory(config.run_dir)
    evaluate_untrained(config, out / "stores", directory.checkpoint(1))
    return run_file, directory


def test_evaluate_writes_the_contract_s_files_and_prints_aggregates(
    evaluated: tuple[Path, RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    """Results in another place than the run's, or figures that another encoder gave."""
    run_file, directory = evaluated
    checkpoint = directory.checkpoint(1)
    assert main(["evaluate", str(run_file), "--checkpoint", str(checkpoint), "--json"]) == 0
    (printed,) = json.loads(capsys.readouterr().out)
    folder = directory.evaluation(1) / "held_out_facts"
    assert json.loads((folder / "summary.json").read_text()) == printed
    before = json.loads((checkpoint / "evaluation/held_out_facts/summary.json").read_text())
    assert printed["aggregates"] == before["aggregates"]
    assert (printed["benchmark"], printed["candidate"], printed["step"]) == ("held_out_facts", "sentence", 1)
    table = pd.read_parquet(folder / "per_query.parquet")
    assert list(table.columns) == ["task", "query_id", "measure", "value"]
    task = table[(table.task == "multi/en") & (table.measure == "AP")]
    assert task.value.mean() == pytest.approx(printed["tasks"]["multi/en"]["measures"]["AP"])


def test_score_of_a_run_file_equals_the_summary(
    evaluated: tuple[Path, RunDirectory], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Run files that do not hold what the figures were made of."""
    run_file, directory = evaluated
    assert main(["evaluate", str(run_file), "--checkpoint", str(directory.checkpoint(1))]) == 0
    capsys.readouterr()
    folder = directory.evaluation(1) / "held_out_facts"
    summary = json.loads((folder / "summary.json").read_text())
    for task in ("mono/zh", "cross/ar-de", "multi/el"):
        qrels = write_qrels(tmp_path, load_run(run_file), task)
        arguments = ["score", "--qrels", str(qrels), "--run", str(run_path(folder / "runs", task)), "--json"]
        assert main([*arguments, "--measures", "AP", "R@1", "R@10"]) == 0
        score = json.loads(capsys.readouterr().out)
        assert score["num_queries"] == summary["tasks"][task]["num_queries"]
        expected = {name: summary["tasks"][task]["measures"][name] for name in score["measures"]}
        assert score["measures"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "encoder.json"])
def test_a_damaged_encoder_is_refused_by_every_command(
    evaluated: tuple[Path, RunDirectory], capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    """Figures, negatives and exports of weights that nobody has trained."""
    run_file, directory = evaluated
    checkpoint = tmp_path / "step-00000001"
    shutil.copytree(directory.checkpoint(1) / "encoder", checkpoint / "encoder")
    (checkpoint / "state.json").write_text("{}")
    names = [*(f"encoder/{path.name}" for path in (checkpoint / "encoder").iterdir()), "state.json"]
    write_marker(checkpoint, facts_of(checkpoint, names), {})
    flip(checkpoint / "encoder" / name, 8 * ((checkpoint / "encoder" / name).stat().st_size - 3))
    out = tmp_path / "out"
    for command in (
        ["evaluate", str(run_file), "--checkpoint", str(checkpoint), "--out", str(out)],
        ["mine", str(run_file), "--checkpoint", str(checkpoint), "--out", str(out / "mined.jsonl")],
        ["export", str(checkpoint), "--out", str(out / "exported")],
    ):
        assert main(command) == 2, command
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hbt: error")]
        where = f"{checkpoint / 'encoder' / name}: "  # a manifest that is no JSON is told first
        assert where + "is not what was written" in line or where + "can not be read" in line, command
        assert not list(out.rglob("*.*"))


def write_qrels(folder: Path, config: Any, task: str) -> Path:
    """Judgments of one task, from the benchmark's files."""
    from distributed_hbt.evaluation.benchmarks.lareqa import load_lareqa
    from distributed_hbt.evaluation.tasks import relevant_in, tasks_of

    (benchmark,) = config.evaluation.benchmarks
    collection = load_lareqa(
        Path(benchmark.root), benchmark.languages, article_range=None, candidate="sentence"
    )
    (wanted,) = [one for one in tasks_of(collection.languages) if one.name == task]
    file = folder / "qrels"
    lines = [
        f"{query} 0 {document} 1\n"
        for query, documents in relevant_in(collection, wanted).items()
        for document in documents
    ]
    file.write_text("".join(lines), encoding="utf-8")
    return file


def test_compare_reads_the_newest_evaluation(
    evaluated: tuple[Path, RunDirectory], capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of other figures than the summary's."""
    run_file, directory = evaluated
    assert main(["evaluate", str(run_file), "--checkpoint", str(directory.checkpoint(1))]) == 0
    printed = capsys.readouterr().out
    assert main(["compare", str(directory.path), "--json"]) == 0
    (benchmark,) = json.loads(capsys.readouterr().out)["benchmarks"]
    summary = json.loads((directory.evaluation(1) / "held_out_facts/summary.json").read_text())
    (cross,) = (row for row in benchmark["summary"] if (row["group"], row["measure"]) == ("cross", "AP"))
    mean = cross["figures"][directory.path.name]["mean"]
    assert mean == pytest.approx(summary["aggregates"]["cross"]["AP"], abs=1e-12)
    assert f"held_out_facts\tcross\tAP\t{mean:.4f}" in printed
    assert main(["compare", str(directory.path)]) == 0
    assert f"{summary['aggregates']['rank_distance']:.1f}" in capsys.readouterr().out
