"""Benchmarks in a run file."""

from pathlib import Path

import pytest

from distributed_hbt.config.evaluation import BeirBenchmark, MiraclBenchmark, MrTydiBenchmark, RowsBenchmark
from distributed_hbt.config.load import load_run
from distributed_hbt.config.paths import check_benchmarks
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from tests.unit.config.test_load import MINIMAL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").touch()
    (tmp_path / "run.yaml").write_text(MINIMAL, encoding="utf-8")
    return tmp_path


def run(folder: Path, benchmarks: str) -> RunConfig:
    return load_run(folder / "run.yaml", [f"evaluation.benchmarks={benchmarks}"])


def test_published_benchmarks_need_nothing_but_their_name(folder: Path) -> None:
    """Languages or splits other than the published ones."""
    miracl, mr_tydi = run(folder, "[{name: miracl}, {name: mr_tydi}]").evaluation.benchmarks
    assert isinstance(miracl, MiraclBenchmark)
    assert isinstance(mr_tydi, MrTydiBenchmark)
    assert (miracl.label, miracl.split, len(miracl.languages)) == ("miracl", "dev", 18)
    assert (mr_tydi.label, mr_tydi.split, len(mr_tydi.languages)) == ("mr_tydi", "test", 11)
    assert (miracl.root, miracl.incomplete, miracl.blank_passages) == (None, False, "refuse")
    check_benchmarks(run(folder, "[{name: miracl}]"))


def test_splits_have_results_of_their_own(folder: Path) -> None:
    """Two splits of one benchmark whose results share a folder."""
    text = (
        "[{name: miracl}, {name: miracl, split: train}, {name: mr_tydi, split: dev},"
        "{name: beir, label: scifact, path: x}]"
    )
    labels = [benchmark.label for benchmark in run(folder, text).evaluation.benchmarks]
    assert labels == ["miracl", "miracl-train", "mr_tydi-dev", "scifact"]


@pytest.mark.parametrize(
    ("benchmark", "message"),
    [
        ("{name: miracl, languages: [sw, xx]}", ": languages has xx, in which nothing is published; choose"),
        ("{name: mr_tydi, languages: [de]}", ": languages has de, in which nothing is published"),
        ("{name: miracl, languages: [sw, sw]}", ": languages has sw twice; name it once"),
        ("{name: miracl, languages: []}", ".languages: [] does not fit"),
        ("{name: miracl, split: ../dev}", ".split: '../dev' does not fit"),
        ("{name: miracl, corpus: docs.jsonl}", ": corpus has no {language} though several languages"),
        ("{name: miracl, blank_passages: drop}", ".blank_passages: 'drop' does not fit"),
        ("{name: miracl, label: x}", ".label: unknown key"),
        ("{name: rows, sources: [{format: hbt_jsonl, path: x}]}", ".label: is missing; set it"),
        ("{name: rows, label: r, sources: []}", ".sources: [] does not fit"),
        ("{name: beir, path: x}", ".label: is missing; set it"),
        ("{name: beir, label: a/b, path: x}", ".label: 'a/b' does not fit"),
        ("{name: beir, label: b}", ".path: is missing; set it"),
        ("{name: beir, label: b, path: x, languages: [en]}", ".languages: unknown key"),
    ],
)
def test_refused_with_its_full_path_and_a_remedy(folder: Path, benchmark: str, message: str) -> None:
    """A wrong value that passes, or a message that does not say where."""
    with pytest.raises(ConfigError) as error:
        run(folder, f"[{benchmark}]")
    assert str(error.value).startswith(f"evaluation.benchmarks.0{message}")


def test_paths_are_taken_from_the_run_file(folder: Path) -> None:
    """A folder beside the run file that is looked for in the working directory."""
    for name in ("judged", "passages/sw", "passages/yo", "scifact"):
        (folder / name).mkdir(parents=True)
    (folder / "test.tsv").touch()
    text = (
        '[{name: miracl, root: judged, corpus: "passages/{language}"},'
        "{name: beir, label: scifact, path: scifact, qrels: test.tsv}]"
    )
    config = run(folder, text)
    miracl, beir = config.evaluation.benchmarks
    assert isinstance(miracl, MiraclBenchmark)
    assert isinstance(beir, BeirBenchmark)
    assert miracl.root == f"{folder}/judged"
    assert miracl.corpus == f"{folder}/passages/{{language}}"
    assert (beir.path, beir.qrels) == (f"{folder}/scifact", f"{folder}/test.tsv")
    check_benchmarks(config)


@pytest.mark.parametrize(
    ("benchmark", "field"),
    [
        ("{name: miracl, root: absent}", "root"),
        ('{name: mr_tydi, corpus: "absent/{language}"}', "corpus"),
        ("{name: beir, label: b, path: absent}", "path"),
    ],
)
def test_a_missing_place_names_its_field(folder: Path, benchmark: str, field: str) -> None:
    """An evaluation that trains first and then finds that its benchmark is absent."""
    with pytest.raises(ConfigError, match=rf"evaluation\.benchmarks\.0\.{field}: nothing is found at absent"):
        check_benchmarks(run(folder, f"[{benchmark}]"))


def test_the_hub_passes_the_path_check(folder: Path) -> None:
    """A data set of the hub refused because no folder has its name."""
    check_benchmarks(
        run(folder, '[{name: miracl, root: hf://datasets/a/b, corpus: "hf://datasets/a/c/{language}"}]')
    )


def test_paths_of_rows_start_where_training_data_do(folder: Path) -> None:
    """A test set that is looked for in the working directory, or found missing after the training."""
    (folder / "d").mkdir()
    (folder / "d/dev.jsonl").touch()
    text = "[{name: rows, label: dev, sources: [{format: hbt_jsonl, path: dev.jsonl}]}]"
    overrides = [f"evaluation.benchmarks={text}", f"data.root={folder}/d"]
    (benchmark,) = load_run(folder / "run.yaml", overrides).evaluation.benchmarks
    assert isinstance(benchmark, RowsBenchmark)
    assert benchmark.sources[0].path == f"{folder}/d/dev.jsonl"
    (folder / "d/dev.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"evaluation\.benchmarks\.0\.sources\.0\.path: nothing is found"):
        check_benchmarks(load_run(folder / "run.yaml", overrides))
