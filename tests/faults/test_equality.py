"""The comparison that the kills rely on sees what it should."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.faults.equality import byte_differences, differences, leftovers

CHECKPOINT = Path("checkpoints/step-00000002")


def add_to_moment(run: Path) -> None:
    path = run / CHECKPOINT / "engine" / "optim_states.pt"
    state = torch.load(path, weights_only=True)
    state["state"][0]["exp_avg"][1] += 1e-7
    torch.save(state, path)


def other_dtype(run: Path) -> None:
    path = run / CHECKPOINT / "engine" / "optim_states.pt"
    state = torch.load(path, weights_only=True)
    state["state"][0]["exp_avg"] = state["state"][0]["exp_avg"].to(torch.int32)
    torch.save(state, path)


def log_step_again(run: Path) -> None:
    path = run / "train.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def changed(run: Path) -> None:
        path = run / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return changed


DAMAGE: dict[str, Callable[[Path], None]] = {
    "a moment": add_to_moment,
    "a type": other_dtype,
    "a step twice": log_step_again,
    "a loss": change("train.jsonl", "0.25", "0.2500001"),
    "a weight": change(f"{CHECKPOINT}/encoder/model.safetensors", "w", "v"),
    "a state": change(f"{CHECKPOINT}/state.json", '"seed": 13', '"seed": 14'),
    "no checkpoint": lambda run: shutil.rmtree(run / CHECKPOINT),
    "one more file": lambda run: (run / "evaluation" / "more").touch(),
    "a measure": change("evaluation/summary.json", "0.5", "0.6"),
}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    run = tmp_path / "whole"
    for folder in ("engine", "encoder"):
        (run / CHECKPOINT / folder).mkdir(parents=True)
    (run / "evaluation").mkdir()
    moments = {"step": torch.tensor(2.0), "exp_avg": torch.tensor([0.1, 0.2, 0.3])}
    torch.save({"state": {0: moments}, "lr": 0.1}, run / CHECKPOINT / "engine" / "optim_states.pt")
    (run / CHECKPOINT / "encoder" / "model.safetensors").write_text("w")
    (run / CHECKPOINT / "state.json").write_text(json.dumps({"seed": 13, "tracking_run": "a"}))
    lines = [{"step": step, "loss": 0.25, "seconds": step} for step in (1, 2)]
    (run / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "evaluation" / "summary.json").write_text('{"AP": 0.5}')
    return run


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_every_difference_is_seen(whole: Path, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A hundred kills that pass because nothing is compared."""
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    damage(killed)
    assert differences(whole, killed) != []


def test_times_and_tracked_runs_are_no_difference(whole: Path, tmp_path: Path) -> None:
    """Red for what no two runs have alike."""
    killed = tmp_path / "killed"
    shutil.copytree(whole, killed)
    change("train.jsonl", '"seconds": 2', '"seconds": 3')(killed)
    change(f"{CHECKPOINT}/state.json", '"a"', '"b"')(killed)
    assert differences(whole, killed) == []


def test_leftovers_are_seen_wherever_they_are(whole: Path) -> None:
    """Halves in a folder that nobody looks into."""
    assert leftovers(whole) == []
    (whole / "evaluation" / "tiny.partial-x").mkdir()
    (whole / CHECKPOINT / "encoder" / "tiny.work").touch()
    assert len(leftovers(whole)) == 2


def test_nothing_is_not_equal_to_nothing(tmp_path: Path) -> None:
    """Two exports that are both not there."""
    assert list(byte_differences(tmp_path / "a", tmp_path / "b")) != []
