"""Which checkpoints go, and above all which do not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import RunDirectory
from distributed_hbt.train.checkpoints.retention import remove_surplus, surplus_steps
from tests.distributed.run_for_tests import write_run
from tests.lareqa_files import write_lareqa

Make = Callable[..., tuple[RunConfig, RunDirectory]]
EVALUATED = "evaluation.every=20"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A run with complete checkpoints after 10, 20 ... 60 of 100 steps, evaluated as the overrides say."""
    benchmark = write_lareqa(tmp_path / "tiny", ["de", "en"])
    file = write_run(
        tmp_path,
        train={"max_steps": 100, "checkpoint_every": 10},
        evaluation={"benchmarks": [benchmark]},
    )

    def made(*overrides: str) -> tuple[RunConfig, RunDirectory]:
        config = load_run(file, overrides)
        directory = RunDirectory(config.run_dir)
        for step in range(10, 70, 10):
            directory.checkpoint(step).mkdir(parents=True)
            (directory.checkpoint(step) / "COMPLETE").touch()
        return config, directory

    return made


def result(config: RunConfig, directory: RunDirectory, step: int, **aggregates: object) -> None:
    (benchmark,) = config.evaluation.benchmarks
    folder = directory.evaluation(step) / benchmark.label
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"aggregates": aggregates}))


def label(config: RunConfig) -> str:
    return config.evaluation.benchmarks[0].label


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        ("{}", []),
        ("{keep_last: 1}", [10, 20, 30, 40, 50]),
        ("{keep_last: 2}", [10, 20, 30, 40]),
        ("{keep_last: 9}", []),
        ("{keep_last: 1, keep_every: 30}", [10, 20, 40, 50]),
    ],
)
def test_the_newest_and_the_multiples_stay(make: Make, rules: str, gone: list[int]) -> None:
    """A run without anything to resume from."""
    config, directory = make(f"train.checkpoints={rules}")
    assert surplus_steps(config, directory) == gone
    remove_surplus(config, directory)
    left = [step for step in range(10, 70, 10) if step not in gone]
    assert sorted(path.name for path in directory.checkpoints.iterdir()) == [
        directory.checkpoint(step).name for step in left
    ]


def test_what_waits_for_its_evaluation_stays(make: Make) -> None:
    """A checkpoint that is removed before, or while, the evaluation reads it."""
    config, directory = make("train.checkpoints.keep_last=1", EVALUATED)
    result(config, directory, 20)
    (directory.evaluation(30) / f"{label(config)}.partial-77-ab").mkdir(parents=True)
    (directory.evaluation(50) / f"{label(config)}.work").mkdir(parents=True)
    assert surplus_steps(config, directory) == [10, 20]


def test_half_of_the_results_are_none(make: Make) -> None:
    """Two benchmarks, of which one is done."""
    config, directory = make("train.checkpoints.keep_last=1", EVALUATED)
    two = config.evaluation.benchmarks[0].model_copy(update={"label": "other"})
    both = config.evaluation.model_copy(update={"benchmarks": (*config.evaluation.benchmarks, two)})
    result(config, directory, 20)
    config = config.model_copy(update={"evaluation": both})
    assert 20 not in surplus_steps(config, directory)


@pytest.mark.parametrize(
    ("measure", "number", "kept"),
    [("multi/AP", 1, {40}), ("multi/AP", 2, {20, 40}), ("rank_distance", 1, {20}), ("max_rank", 1, set())],
)
def test_the_best_by_a_measure_stays(make: Make, measure: str, number: int, kept: set[int]) -> None:
    """The worst kept, as lower rank distance is better; a figure that is missing taken for one."""
    rules = f"{{keep_last: 1, best: {{measure: tiny/{measure}, number: {number}}}}}"
    config, directory = make(f"train.checkpoints={rules}", EVALUATED)
    result(config, directory, 20, multi={"AP": 0.5}, rank_distance=3.0)
    result(config, directory, 40, multi={"AP": 0.7}, rank_distance=9.0)
    result(config, directory, 60, multi={"AP": 0.4}, rank_distance=20.0)
    assert surplus_steps(config, directory) == [s for s in (10, 20, 30, 40, 50) if s not in kept]


def test_what_is_not_whole_does_not_count(make: Make) -> None:
    """The last good one removed, since a damaged or half written one is newer."""
    config, directory = make("train.checkpoints.keep_last=1")
    (directory.checkpoint(60) / "COMPLETE").unlink()
    directory.checkpoint(50).rename(directory.checkpoint(50).with_suffix(".damaged"))
    (directory.checkpoints / "step-00000070.partial-abc").mkdir()
    (directory.checkpoints / "step-00000070.partial-abc" / "COMPLETE").touch()
    assert surplus_steps(config, directory) == [10, 20, 30]


def test_rules_that_keep_nothing_more_are_refused(make: Make) -> None:
    """keep_every alone, under which every checkpoint is kept; a measure of no benchmark."""
    with pytest.raises(ConfigError, match=r"train\.checkpoints: keep_every .* keep_last"):
        make("train.checkpoints.keep_every=20")
    with pytest.raises(ConfigError, match=r"begins with no benchmark of the run \(tiny\)"):
        make("train.checkpoints={keep_last: 1, best: {measure: miracl/mean/AP}}")
