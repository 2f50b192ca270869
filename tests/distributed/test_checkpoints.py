"""Checkpoints on real ranks: verified, fenced, and the same whether training waits for them or not."""

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from distributed_hbt.checkpoint_marker import Damage, damage_of, read_marker, surplus_of
from distributed_hbt.run_directory import RunDirectory
from tests.distributed.ranks import RankPool
from tests.distributed.run_for_tests import zero_overrides as overrides
from tests.distributed.test_resume import LORA
from tests.unit.test_checkpoint_marker import flip

Pools = dict[int, RankPool]


@pytest.fixture(scope="module")
def trained(pools: Pools, run_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints, after 5 and 10 steps, of a run with name=kept in a folder of its own."""
    out = tmp_path_factory.mktemp("trained")
    options = overrides(2, "name=kept", f"output_dir={out}")
    assert pools[2].run("checkpoint_tasks.train_run", str(run_file), options)[0] == (list(range(1, 11)), "")
    return out / "kept" / "checkpoints"


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    subprocess.run(["cp", "-r", str(trained.parent), str(tmp_path / "kept")], check=True)
    return tmp_path / "kept" / "checkpoints"


def chosen(pools: Pools, run_file: Path, checkpoints: Path) -> tuple[str, list[str]]:
    """What both ranks would go on from, and the warnings of the first."""
    options = overrides(2, "name=kept", f"output_dir={checkpoints.parents[1]}")
    first, second = pools[2].run("checkpoint_tasks.chosen", str(run_file), options)
    assert first[0] == second[0]
    assert second[1] == []
    return first[0], first[1]


def damage(checkpoint: Path) -> str | None:
    files = read_marker(checkpoint)
    assert not isinstance(files, Damage), files
    found = damage_of(checkpoint, files) or surplus_of(checkpoint, files)
    return str(found) if found else None


def content(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_file_is_in_the_marker_and_the_newest_is_chosen(
    pools: Pools, run_file: Path, trained: Path
) -> None:
    """A file that nobody verifies; a folder of a writer that is left over."""
    assert sorted(path.name for path in trained.iterdir()) == ["step-00000005", "step-00000010"]
    newest = trained / "step-00000010"
    marked = json.loads((newest / "COMPLETE").read_text())["files"]
    assert {*marked, "COMPLETE"} == content(newest).keys()
    assert {"engine/zero_to_fp32.py", "encoder/encoder.json", "state.json"} < marked.keys()
    assert damage(newest) is None
    assert chosen(pools, run_file, trained) == ("step-00000010", [])


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "engine/*model_states.pt",
            "engine/zero_pp_rank_0*",
            "engine/zero_pp_rank_1*",
            "engine/zero_to_fp32.py",
        ),
        *("encoder/model.safetensors", "encoder/tokenizer.json", "encoder/encoder.json", "state.json"),
        "COMPLETE",
    ],
)
def test_a_damaged_newest_is_named_and_the_one_before_used(
    pools: Pools, run_file: Path, copied: Path, pattern: str
) -> None:
    """Training that goes on from garbage, or that ends where a good checkpoint is at hand."""
    newest = copied / "step-00000010"
    (path,) = newest.glob(pattern)
    flip(path, 8 * (path.stat().st_size // 2) if pattern != "COMPLETE" else 8 * 40)
    used, (line,) = chosen(pools, run_file, copied)
    assert used == "step-00000005"
    assert line.startswith(f"{path} ")
    assert f"so that {copied / used} is used; the damaged checkpoint is now {newest}.damaged" in line
    assert sorted(one.name for one in copied.iterdir()) == ["step-00000005", "step-00000010.damaged"]
    assert chosen(pools, run_file, copied) == ("step-00000005", [])


def test_nothing_to_trust_is_an_error_and_changes_nothing(pools: Pools, run_file: Path, copied: Path) -> None:
    """A run of a week that starts anew, without a word, over its own remains."""
    (copied / "step-00000010" / "COMPLETE").unlink()
    flip(copied / "step-00000005" / "state.json", 100)
    before = content(copied)
    for _ in range(2):
        error, lines = chosen(pools, run_file, copied)
        assert error.startswith(
            f"CheckpointError: {copied}: none of 2 checkpoints can be trusted (the newest: "
        )
        assert "step-00000010/COMPLETE is missing); restore one from a copy, or remove the folder" in error
        assert lines == []
    assert content(copied) == before


def test_an_older_version_s_checkpoint_is_used_with_a_word(
    pools: Pools, run_file: Path, copied: Path
) -> None:
    """A run that was begun before there were checksums, and can not go on."""
    newest = copied / "step-00000010"
    (newest / "COMPLETE").write_text("")
    (newest / "state.json").write_text(
        (newest / "state.json").read_text().replace(',\n  "checksums": "COMPLETE"', "")
    )
    used, (line,) = chosen(pools, run_file, copied)
    assert used == newest.name
    assert "without checksums: it is not verified" in line


def test_a_run_whose_newest_is_damaged_is_trained_on_to_the_same_end(
    pools: Pools, run_file: Path, trained: Path, copied: Path
) -> None:
    """The damaged checkpoint stands where the same step is to be written anew."""
    flip(copied / "step-00000010" / "encoder" / "model.safetensors", 999)
    options = overrides(2, "name=kept", f"output_dir={copied.parents[1]}")
    done, error = pools[2].run("checkpoint_tasks.train_run", str(run_file), options)[0]
    assert (done, error) == ([6, 7, 8, 9, 10], "")
    again, before = (where / "step-00000010/encoder/model.safetensors" for where in (copied, trained))
    assert again.read_bytes() == before.read_bytes()
    assert damage(copied / "step-00000010") is None


@pytest.mark.parametrize(
    ("stage", "option"), [(0, ()), (1, ()), (2, ("model.dtype=bfloat16",)), (3, (LORA,)), ("3_offload", ())]
)
def test_what_is_written_beside_the_steps_is_what_would_be_written_at_once(
    pools: Pools, run_file: Path, tmp_path: Path, stage: int | str, option: tuple[str, ...]
) -> None:
    """Weights or moments of a later step in a checkpoint that was written while training went on."""
    for name, asynchronous, within in (("at_once", "false", "nothing"), ("beside", "true", "late_writes")):
        settings = (f"train.checkpoints.asynchronous={asynchronous}", f"output_dir={tmp_path / name}")
        options = overrides(stage, *option, *settings)
        answers = pools[2].run("checkpoint_tasks.train_run", str(run_file), options, within)
        assert answers == [(list(range(1, 11)), "")] * 2
    for step in ("step-00000005", "step-00000010"):
        at_once, beside = (tmp_path / name / "tiny/checkpoints" / step for name in ("at_once", "beside"))
        assert damage(beside) is None
        assert content(at_once).keys() == content(beside).keys()
        for path in at_once.rglob("*"):
            other = beside / path.relative_to(at_once)
            if path.suffix == ".pt":
                assert_same(torch.load(path, weights_only=False), torch.load(other, weights_only=False))
            elif path.suffix == ".safetensors":
                assert_same(load_file(path), load_file(other))


def assert_same(one: Any, other: Any) -> None:
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
        assert (one.dtype, type(one)) == (other.dtype, type(other))
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)


@pytest.mark.parametrize("within", ["pause_in_step", "pause_before_rename"])
def test_an_attempt_that_was_replaced_ends_and_changes_nothing(
    pools: Pools, run_file: Path, tmp_path: Path, within: str
) -> None:
    """A rank 0 on a node that was thought lost: it wakes up, and writes into the run of its successor."""
    options = overrides(2, f"output_dir={tmp_path}")
    task = ("checkpoint_tasks.train_run", str(run_file), options)
    with ThreadPoolExecutor(1) as pool:
        older = pool.submit(pools[2].run, *task, within, str(tmp_path))
        while not (tmp_path / "reached").exists():
            assert not older.done(), older.result()
            time.sleep(0.02)
        assert pools[1].run(*task) == [(list(range(1, 11)), "")]
        newer = content(tmp_path / "tiny")
        (tmp_path / "go").touch()
        answers = older.result()
    for done, error in answers:
        assert done == [1, 2, 3] or within == "pause_before_rename"
        assert error.startswith(f"WorkerFailed: {tmp_path / 'tiny'}: another attempt to train this run was ")
    assert content(tmp_path / "tiny") == newer
    assert len((tmp_path / "tiny/train.jsonl").read_text().splitlines()) == 10


def test_a_killed_writer_leaves_the_checkpoint_before(pools: Pools, run_file: Path, tmp_path: Path) -> None:
    """Half a checkpoint that is taken for whole; remains that no later start removes."""
    directory = RunDirectory(tmp_path / "tiny")
    options = overrides(2, f"output_dir={tmp_path}", "train.checkpoint_every=1")
    task = ("checkpoint_tasks.train_run", str(run_file), options)
    to_be_killed = RankPool(1)
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(to_be_killed.run, *task, "half_a_file", str(tmp_path))
        while not (tmp_path / "reached").exists():
            assert not killed.done(), killed.result()
            time.sleep(0.01)
        to_be_killed.close()
        assert isinstance(killed.exception(), EOFError | ConnectionError)
    (remains,) = directory.checkpoints.glob("step-*.partial-*")
    assert any(remains.glob("engine/*"))
    assert directory.checkpoint_steps() == directory.complete_steps() == [1, 2]
    assert [damage(directory.checkpoint(step)) for step in (1, 2)] == [None, None]
    assert pools[1].run(*task) == [(list(range(3, 11)), "")]
    left = sorted(path.name for path in directory.checkpoints.iterdir())
    assert left == [directory.checkpoint(step).name for step in range(1, 11)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs: run the tests as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("asynchronous", ["true", "false"])
def test_a_full_disk_ends_the_run_on_every_rank_in_one_line(
    pools: Pools, run_file: Path, tmp_path: Path, small_disk: Path, asynchronous: str
) -> None:
    """Training that goes on for hours without a checkpoint; a rank that waits for ever for one that fails."""
    settings = ("train.checkpoint_every=2", f"train.checkpoints.asynchronous={asynchronous}")
    places = (f"output_dir={small_disk}", f"data.store_dir={tmp_path / 'stores'}")
    options = overrides(2, *settings, *places)
    answers = pools[2].run("checkpoint_tasks.train_run", str(run_file), options, "full_disk", str(small_disk))
    checkpoints = small_disk / "tiny/checkpoints"
    for done, error in answers:
        assert done[-1] <= 6
        assert error.startswith(
            f"WorkerFailed: {checkpoints / 'step-00000004'}: could not be written by rank "
        )
        assert "No space left on device" in error
        assert "\n" not in error
    assert [path.name for path in checkpoints.iterdir()] == ["step-00000002"]
    assert damage(checkpoints / "step-00000002") is None


def test_a_rank_that_can_not_write_ends_all_of_them(pools: Pools, run_file: Path, tmp_path: Path) -> None:
    """The first rank completes a checkpoint without the files of another, or never hears of it."""
    options = overrides(2, "train.checkpoint_every=2", f"output_dir={tmp_path}")
    answers = pools[2].run("checkpoint_tasks.train_run", str(run_file), options, "failing_rank")
    checkpoints = tmp_path / "tiny/checkpoints"
    for _, error in answers:
        assert (
            f"{checkpoints / 'step-00000004'}: could not be written by rank 1 (Disk quota exceeded)" in error
        )
    assert [path.name for path in checkpoints.iterdir()] == ["step-00000002"]


def test_a_step_that_fails_does_not_take_the_checkpoint_in_hand_with_it(
    pools: Pools, run_file: Path, tmp_path: Path
) -> None:
    """A loss of NaN that costs the steps of two intervals."""
    options = overrides(2, f"output_dir={tmp_path}")
    answers = pools[2].run("checkpoint_tasks.train_run", str(run_file), options, "failing_step")
    assert answers == [(list(range(1, 8)), "WorkerFailed: step 7: the loss is nan; try another")] * 2
    checkpoints = tmp_path / "tiny/checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == ["step-00000005"]
    assert damage(checkpoints / "step-00000005") is None


def test_a_run_keeps_what_it_is_told_to(pools: Pools, run_file: Path, tmp_path: Path) -> None:
    """Rules that are never applied, or applied to the checkpoint in hand."""
    rules = "train.checkpoints={keep_last: 2, keep_every: 4}"
    options = overrides(2, "train.checkpoint_every=1", rules, f"output_dir={tmp_path}")
    assert pools[2].run("checkpoint_tasks.train_run", str(run_file), options)[0][1] == ""
    left = sorted(path.name for path in (tmp_path / "tiny/checkpoints").iterdir())
    assert left == [f"step-{step:08d}" for step in (4, 8, 9, 10)]
