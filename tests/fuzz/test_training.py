"""A run directory, damaged between two starts of its training."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.distributed.run_for_tests import write_run
from tests.fuzz.cases import Target, run
from tests.fuzz.conftest import FuzzOf

RUN = "run"


@pytest.fixture(autouse=True)
def one_process_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rank's group ends with its process; here both go on, and DeepSpeed keeps what is of its first."""
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: None)


def as_in_a_new_process() -> None:
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


def training(folder: Path, stage: int) -> Sequence[str]:
    """The command line of a run of four steps with a checkpoint after two."""
    file = write_run(
        folder,
        groups=12,
        train={"max_steps": 4, "checkpoint_every": 2, "global_batch_size": 4},
        tracking={"system_metrics": False},
        cluster={"gpus_per_worker": 0},
    )
    root = Path(__file__).resolve().parents[2]
    return ["train", str(file), f"name={RUN}", f"train.deepspeed={root}/ds_configs/zero{stage}.json"]


def stopped_after_two(folder: Path, arguments: Sequence[str]) -> Callable[[], None]:
    """Train whole, and give what brings the run back to where two steps were done."""
    as_in_a_new_process()
    outcome = run(arguments)
    assert outcome.code == 0, outcome.err
    directory, kept = folder / "runs" / RUN, folder / "kept"
    shutil.rmtree(directory / "checkpoints" / "step-00000004")
    for name in ("FINISHED", "costs.json"):
        (directory / name).unlink(missing_ok=True)
    log = directory / "train.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:2]))
    shutil.copytree(directory, kept)

    def back() -> None:
        as_in_a_new_process()
        shutil.rmtree(directory)
        shutil.copytree(kept, directory)

    return back


@pytest.mark.parametrize(
    ("stage", "first", "stop"),
    [(2, 0, 1), *(pytest.param(stage, 1, 62, marks=pytest.mark.fuzz) for stage in (0, 2, 3))],
)
def test_a_damaged_run_directory(fuzzed: FuzzOf, tmp_path: Path, stage: int, first: int, stop: int) -> None:
    """A training that goes on from half a checkpoint, or a traceback of pickle or DeepSpeed."""
    given = training(tmp_path, stage)
    back = stopped_after_two(tmp_path, given)
    directory = tmp_path / "runs" / RUN
    small = [directory / name for name in ("config.yaml", "mlflow.json", "train.jsonl")]
    step = directory / "checkpoints" / "step-00000002"
    files = (*small, step / "state.json", *sorted((step / "engine").glob("*.pt")))

    def arguments(out: Path) -> Sequence[str]:
        as_in_a_new_process()
        return given

    target = Target(
        f"run directory, ZeRO-{stage}", files, arguments, lambda out: (directory / "FINISHED").exists(), back
    )
    fuzzed(target, range(first, stop))
