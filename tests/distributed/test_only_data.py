"""The engine's files of a checkpoint are pickles; none of them runs a program."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from distributed_hbt.errors import CheckpointError
from distributed_hbt.train.checkpoints.only_data import check_inside, only_data
from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import zero_overrides as overrides
from tests.distributed.sealed import seal


class Planted:
    """What a pickle does when it is opened by `torch.load(weights_only=False)`."""

    def __init__(self, evidence: Path) -> None:
        self._evidence = evidence

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int]]:
        return os.open, (str(self._evidence), os.O_CREAT)


def run_before(pools: dict[int, RankPool], run_file: Path, stage: int, name: str) -> tuple[list[str], Path]:
    given = [*overrides(stage), f"name={name}"]
    pools[2].run("train_until", str(run_file), given, 6)
    return given, run_file.parent / "runs" / name / "checkpoints" / "step-00000005" / "engine"


@pytest.mark.parametrize("pattern", ["*model_states.pt", "*optim_states.pt"])
@pytest.mark.parametrize("whole", [True, False], ids=["instead", "inside"])
@pytest.mark.parametrize("stage", [1, 3])
def test_a_planted_pickle_is_refused_and_not_run(
    pools: dict[int, RankPool], run_file: Path, tmp_path: Path, pattern: str, whole: bool, stage: int
) -> None:
    """Whoever may write to a run's directory, or sends somebody a checkpoint, would own the cluster."""
    name = f"planted-{stage}-{pattern[1:6]}-{whole}"
    given, engine = run_before(pools, run_file, stage, name)
    evidence = tmp_path / "ran"
    files = sorted(engine.glob(pattern))
    assert files
    for file in files:
        # Everything else in the file is as it was, where the load gets that far.
        content = Planted(evidence)
        if not whole:
            with only_data():
                content = {**torch.load(file), "more": content}
        torch.save(content, file)
    seal(engine.parent)
    with pytest.raises(
        RuntimeError, match=r"CheckpointError: .*can not be loaded \(Weights only load failed"
    ):
        pools[2].run("train_until", str(run_file), given, None)
    assert not evidence.exists()
    torch.load(files[0], weights_only=False)
    assert evidence.exists()  # it does work, where it is let


def test_a_link_out_of_the_run_directory_is_refused(
    pools: dict[int, RankPool], run_file: Path, tmp_path: Path
) -> None:
    """A file that others may write is loaded, as if it were the run's own."""
    given, engine = run_before(pools, run_file, 1, "linked")
    file = next(engine.glob("*model_states.pt"))
    shutil.move(file, tmp_path / file.name)
    file.symlink_to(tmp_path / file.name)
    with pytest.raises(RuntimeError, match=r"CheckpointError: .*leads out of the run directory"):
        pools[2].run("train_until", str(run_file), given, None)


def test_a_run_directory_that_is_a_link_itself_is_a_run_directory(tmp_path: Path) -> None:
    """`runs` on another disk, by a link, is usual."""
    engine = tmp_path / "disk" / "run" / "checkpoints" / "step-00000001" / "engine"
    engine.mkdir(parents=True)
    (engine / "file.pt").touch()
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "run")
    check_inside(tmp_path / "run" / "checkpoints" / "step-00000001" / "engine", tmp_path / "run")
    (engine / "other").symlink_to("/etc")
    with pytest.raises(CheckpointError, match="/etc"):
        check_inside(engine, tmp_path / "run")


def test_the_environment_is_as_it_was_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other libraries of the process load what they like; and a user's own setting may not switch it off."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    torch.save(Planted(tmp_path / "ran"), tmp_path / "file.pt")
    names = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    before = [os.environ.get(name) for name in names]
    with pytest.raises(pickle.UnpicklingError), only_data():
        torch.load(tmp_path / "file.pt", weights_only=False)
    assert [os.environ.get(name) for name in names] == before
    assert not (tmp_path / "ran").exists()
