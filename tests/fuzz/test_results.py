"""What runs leave for `hbt compare`, damaged."""

from pathlib import Path

from tests.fuzz.cases import Target
from tests.fuzz.conftest import FuzzOf
from tests.fuzz.counts import cases
from tests.run_files import lareqa_tasks, write_run


def write_runs(folder: Path) -> list[Path]:
    made = []
    for number, (strategy, seed) in enumerate((("hybrid", 13), ("hybrid", 14), ("x_y", 13), ("x_y", 14))):
        values = [((i * 7 + number) % 11) / 11 for i in range(12)]
        tasks = lareqa_tasks({"de": values, "en": values}, {"de-en": values, "en-de": values})
        run = write_run(folder / f"{strategy}-{seed}", {"xquad_r": tasks}, seed=seed, strategy=strategy)
        (run / "mlflow.json").write_text(
            '{"tracking_uri": "sqlite:///x.db", "experiment_id": "1", "run_id": "a"}'
        )
        (run / "costs.json").write_text(
            '{"parameters": 10, "trainable_parameters": 5, "peak_memory_bytes": null}'
        )
        made.append(run)
    return made


@cases(2, 160)
def test_damaged_results(fuzzed: FuzzOf, tmp_path: Path, first: int, stop: int) -> None:
    """Figures of half a file, or a report that stands there although its comparison failed."""
    runs = write_runs(tmp_path)
    files = tuple(sorted(path for run in runs for path in run.rglob("*") if path.is_file()))
    arguments = ["compare", *map(str, runs)]
    middle = first + (stop - first) * 2 // 3
    fuzzed(Target("results", files, lambda out: [*arguments, "--json"]), range(first, middle))
    report = Target(
        "results", files, lambda out: [*arguments, "--out", str(out)], lambda out: any(out.glob("*.html"))
    )
    fuzzed(report, range(middle, stop))
