"""Which directory a run may go on in."""

from pathlib import Path

import pytest

from distributed_hbt.config.load import load_run
from distributed_hbt.errors import ConfigError
from distributed_hbt.run_directory import check_run_directory, write_config
from tests.distributed.run_for_tests import ROOT, write_run


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    file = write_run(tmp_path)
    config = load_run(file)
    write_config(check_run_directory(config), config)
    return file


@pytest.mark.parametrize(
    "override",
    [
        *("cluster.num_workers=8", f"train.deepspeed={ROOT}/ds_configs/zero3.json"),
        *("train.max_skipped_steps=99", "train.compare_ranks_every=7", "data.damaged_rows=skip"),
        "cluster.step_timeout_seconds=7",
    ],
)
def test_what_does_not_touch_training_may_change(run_file: Path, override: str) -> None:
    """A run that can not go on because it has another number of machines."""
    check_run_directory(load_run(run_file, [override]))


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("train.learning_rate=0.5", "train.learning_rate"),
        ("train.max_steps=11", "train.max_steps"),
        ("seed=14", "seed"),
        ("model.lora.rank=4", "model.lora"),
        ("evaluation.depth=7", "evaluation.depth"),
    ],
)
def test_anything_else_is_refused_by_name(run_file: Path, override: str, field: str) -> None:
    """A run whose halves were trained differently."""
    with pytest.raises(ConfigError, match=f"was started with other values of {field};"):
        check_run_directory(load_run(run_file, [override]))


def test_checking_writes_nothing(tmp_path: Path) -> None:
    """A directory that looks like a run although the run was refused later."""
    check_run_directory(load_run(write_run(tmp_path)))
    assert not (tmp_path / "runs").exists()
