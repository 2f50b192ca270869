"""`hbt compare` on run directories, on an experiment in a database file and behind a server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.cli import main
from distributed_hbt.config.load import load_run
from distributed_hbt.tracking.open import open_tracker
from tests.mlflow_server import mlflow_server
from tests.run_files import lareqa_tasks, write_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two systems, two seeds each: hybrid is better by about 0.2."""
    folder = tmp_path_factory.mktemp("runs")
    found = []
    for strategy, value in (("x_y", 0.3), ("hybrid", 0.5)):
        for seed in (13, 14):
            questions = [value + 0.001 * seed + 0.02 * (i % 5) for i in range(40)]
            tasks = lareqa_tasks({"de": questions, "en": questions}, {"de-en": questions, "en-de": questions})
            name = f"{strategy}-{seed}"
            found.append(write_run(folder / name, {"xquad_r": tasks}, seed=seed, strategy=strategy))
    return found


@pytest.fixture(scope="module", params=["sqlite", "server"])
def uri(
    request: pytest.FixtureRequest, runs: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A store that has the runs, in the experiment `strategies`."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        address = f"sqlite:///{folder}/mlflow.db"
        log(runs, address, folder)
        yield address
        return
    with mlflow_server(folder) as address:
        log(runs, address, folder)
        yield address


def log(runs: list[Path], uri: str, folder: Path) -> None:
    for run in runs:
        overrides = [f"tracking.uri={uri}", "tracking.experiment=strategies", f"output_dir={folder}"]
        tracker = open_tracker(load_run(run / "config.yaml", overrides), run, world_size=1)
        for file in (run / "config.yaml", run / "train.jsonl"):
            tracker.log_artifact(file)
        for file in (run / "evaluation").rglob("*"):
            if file.name in ("summary.json", "per_query.parquet"):
                tracker.log_artifact(file, folder=str(file.parent.relative_to(run)))
        tracker.finish("FINISHED")


def compared(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    assert main(["compare", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_an_experiment_says_what_its_run_directories_say(
    runs: list[Path], uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures that differ with where they are read from; a seed that is lost on the way."""
    local = compared(capsys, *reversed(runs))
    found = compared(capsys, "--experiment", "strategies", "--tracking-uri", uri)
    assert [(one["name"], [run["seed"] for run in one["runs"]]) for one in found["systems"]] == [
        ("hybrid", [13, 14]),
        ("x_y", [13, 14]),
    ]
    assert found["benchmarks"] == local["benchmarks"]
    assert found["training"][0]["loss"] == [4.0, 2.0]
    [difference] = found["benchmarks"][0]["summary"][0]["differences"]
    assert difference["mean"] == pytest.approx(-0.2)
    assert difference["significant"]


def test_run_ids_and_directories_may_be_mixed(
    runs: list[Path], uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = json.loads((runs[0] / "mlflow.json").read_text())["run_id"]
    found = compared(capsys, f"one={run_id}", f"other={runs[2]},{runs[3]}", "--tracking-uri", uri)
    assert [one["name"] for one in found["systems"]] == ["one", "other"]
    assert [run["name"] for run in found["systems"][0]["runs"]] == ["x_y-13"]


def test_a_report_is_kept_in_mlflow(
    runs: list[Path], uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is no run of the next comparison."""
    from mlflow import MlflowClient

    before = compared(capsys, "--experiment", "strategies", "--tracking-uri", uri)
    out = tmp_path / "report"
    compared(capsys, *runs, "--out", out, "--log-to", "strategies", "--tracking-uri", uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("strategies").experiment_id
    [kept] = client.search_runs([experiment], "tags.`hbt.kind` = 'comparison'", max_results=1)
    paths = {one.path for one in client.list_artifacts(kept.info.run_id, "report")}
    assert {"report/report.html", "report/comparison.json", "report/plots"} <= paths
    assert (out / "report.html").is_file()
    assert compared(capsys, "--experiment", "strategies", "--tracking-uri", uri) == before


def test_the_report_has_tables_for_papers(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compared(capsys, *runs, "--out", tmp_path / "report")
    assert "mono AP" in (tmp_path / "report" / "tables.md").read_text()
    assert r"\toprule" in (tmp_path / "report" / "tables.tex").read_text()
    assert main(["compare", *map(str, runs), "--latex"]) == 0
    assert r"\begin{tabular}" in capsys.readouterr().out
    assert main(["compare", *map(str, runs), "--markdown", "--measure", "cross:nDCG@10"]) == 0
    assert "cross nDCG@10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "command line: names no run; name run directories or MLflow run ids, or an --experiment"),
        (["nowhere"], "nowhere: no such folder; name a run directory"),
        (["--log-to", "x", "RUN"], "--log-to: has no report to keep; give --out too"),
        (["RUN", "--measure", "AP"], "--measure: 'AP' is no GROUP:MEASURE; write it as cross:nDCG@10"),
        (["RUN", "--baseline", "x"], "--baseline: x is no system; choose from x_y-13"),
        (["RUN", "RUN"], "system x_y: x_y-13 and x_y-13 are runs of one configuration and seed 13"),
    ],
)
def test_what_can_not_be_compared_is_one_line(
    runs: list[Path], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(runs[0]) if argument == "RUN" else argument for argument in arguments]
    assert main(["compare", *given]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"hbt: error: {message}")
