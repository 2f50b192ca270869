"""Copies of checkpoints in a folder that fsspec reaches."""

import json
import logging
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.load import dump, validate
from distributed_hbt.config.run import RunConfig
from distributed_hbt.errors import CheckpointError, ConfigError
from distributed_hbt.remote.copier import Copier, copying
from distributed_hbt.remote.fetch import fetch_if_empty
from distributed_hbt.remote.target import Copy, Remote, new_attempt, open_remote
from distributed_hbt.run_directory import MARKER, RunDirectory


def run_config(output_dir: Path, url: str, **sections: Any) -> RunConfig:
    model = {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 300}}}
    content = {
        "name": "run",
        "output_dir": str(output_dir),
        "model": model,
        "data": {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]},
        "remote": {"url": url, "finish_seconds": 60},
    }
    return validate({**content, **sections})


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else f"file://{tmp_path}/there"


@pytest.fixture
def config(tmp_path: Path, url: str) -> RunConfig:
    return run_config(tmp_path / "here", url)


def begin(config: RunConfig) -> RunDirectory:
    directory = RunDirectory(config.run_dir)
    directory.path.mkdir(parents=True)
    directory.config.write_text(dump(config))
    (directory.path / "mlflow.json").write_text("{}")
    return directory


def write(directory: RunDirectory, step: int) -> None:
    """A complete checkpoint, and a line of the log."""
    folder = directory.checkpoint(step)
    (folder / "engine").mkdir(parents=True)
    (folder / "engine" / "state.pt").write_bytes(f"state {step}".encode() * 1000)
    (folder / "state.json").write_text(json.dumps({"step": step}))
    (folder / MARKER).touch()
    with directory.train_log.open("a") as log:
        log.write(f'{{"step": {step}}}\n')


def remote_of(config: RunConfig) -> Remote:
    assert config.remote is not None
    return open_remote(config.remote, config.name)


def copy_all(config: RunConfig, directory: RunDirectory) -> None:
    with copying(config, directory, ()):
        pass  # the end waits for what is not copied yet


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


def test_a_run_is_the_same_after_its_disk_is_lost(config: RunConfig) -> None:
    """A file that is not copied, or not put back where it was."""
    directory = begin(config)
    write(directory, 5)
    (directory.base / "deep").mkdir(parents=True)
    (directory.base / "deep" / "weights").write_bytes(b"random")
    results = directory.evaluation(5) / "xquad_r"
    results.mkdir(parents=True)
    (results / "summary.json").write_text("{}")
    with copying(config, directory, ()):
        write(directory, 10)
    before = contents(directory.path)
    shutil.rmtree(directory.path)
    fetch_if_empty(config, ())
    after = contents(directory.path)
    assert after == {
        name: data
        for name, data in before.items()
        if "step-00000005/engine" not in name and not name.startswith("checkpoints/step-00000005")
    }
    fetch_if_empty(config, ())  # a run that has begun is left alone
    assert contents(directory.path) == after


def test_without_copies_a_run_starts_anew(config: RunConfig) -> None:
    fetch_if_empty(config, ())
    assert not config.run_dir.exists()


def test_earlier_checkpoints_that_are_to_be_evaluated_come_back_too(config: RunConfig) -> None:
    """A run whose evaluation, after its training, finds no checkpoint."""
    benchmark = {"name": "xquad_r", "root": "x", "languages": ["en"]}
    section = {"benchmarks": [benchmark], "every": 100}
    config = config.model_copy(
        update={"evaluation": type(config.evaluation).model_validate_json(json.dumps(section))}
    )
    directory = begin(config)
    for step in (100, 200, 300, 400):
        write(directory, step)
    done = directory.evaluation(100) / "xquad_r"
    done.mkdir(parents=True)
    (done / "summary.json").write_text("{}")
    copy_all(config, directory)
    shutil.rmtree(directory.path)
    fetch_if_empty(config, (100, 200, 400))
    assert sorted(path.name for path in directory.checkpoints.iterdir()) == ["step-00000200", "step-00000400"]


def damage(remote: Remote, copy: Copy, kind: str) -> None:
    folder = f"{remote._root}/{copy.name}"
    if kind == "marker":
        remote._fs.pipe_file(f"{folder}.json", b'{"files": {"checkpoint/')
    elif kind == "escape":
        remote._fs.pipe_file(f"{folder}.json", b'{"files": {"checkpoint/../../../x": {}}}')
    elif kind == "missing":
        remote._fs.rm(f"{folder}/checkpoint/state.json")
    else:
        remote._fs.pipe_file(f"{folder}/checkpoint/engine/state.pt", b"other")


@pytest.mark.parametrize("kind", ["marker", "escape", "missing", "content"])
def test_a_damaged_copy_is_told_and_the_one_before_is_taken(
    config: RunConfig, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Weights of another step, or of none, that are trained on."""
    directory = begin(config)
    write(directory, 5)
    write(directory, 10)
    copy_all(config, directory)
    shutil.rmtree(directory.path)
    remote = remote_of(config)
    five, ten = remote.copies()
    damage(remote, ten, kind)
    fetch_if_empty(config, ())
    assert [path.name for path in directory.checkpoints.iterdir()] == ["step-00000005"]
    assert f"{ten.name} can not be used" in caplog.text
    shutil.rmtree(directory.path)
    damage(remote, five, kind)
    with pytest.raises(CheckpointError, match=r"^remote\.url: .*2 copies of checkpoints, and none is whole"):
        fetch_if_empty(config, ())
    assert not directory.config.exists()


def test_another_configuration_s_run_is_refused(config: RunConfig) -> None:
    """A run that goes on from the weights of another one of its name."""
    directory = begin(config)
    write(directory, 5)
    copy_all(config, directory)
    shutil.rmtree(directory.path)
    other = config.model_copy(update={"seed": 14})
    with pytest.raises(ConfigError, match=r"^remote\.url: .*other values of seed"):
        fetch_if_empty(other, ())
    assert not directory.config.exists()


class Failing:
    """A store that is away for some calls, or for good; everything else is the real file system's."""

    def __init__(self, file_system: Any, failures: Iterator[int]) -> None:
        self._real = file_system
        self._failures = failures

    def __getattr__(self, name: str) -> Any:
        if name in ("ls", "put_file", "pipe_file") and next(self._failures, None) is not None:
            raise ConnectionError("no route to host")
        return getattr(self._real, name)


def test_a_store_that_is_away_for_a_while_loses_nothing(
    config: RunConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of the store that ends the run, or of which only the next checkpoint is copied."""
    directory, remote = begin(config), remote_of(config)
    remote._fs = Failing(remote._fs, iter(range(7)))
    with caplog.at_level(logging.INFO):
        copier = Copier(remote, directory, new_attempt(), None, pauses=(0.01,), look_seconds=0.01)
        write(directory, 5)
        assert copier.close(60) == []
    assert [copy.step for copy in remote.copies()] == [5]
    said = [record.getMessage() for record in caplog.records]
    assert "can not be used (no route to host); checkpoints wait in the run directory" in said[0]
    assert any(line.endswith(" is back") for line in said)


def test_what_the_end_did_not_wait_for_is_copied_by_the_next_start(
    config: RunConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """GPUs that are held for a store which stays away; or a checkpoint that is never copied."""
    directory, remote = begin(config), remote_of(config)
    write(directory, 5)
    remote._fs = Failing(remote._fs, iter(range(10**9)))
    copier = Copier(remote, directory, new_attempt(), None, pauses=(60.0,))
    assert copier.close(0.1) == [5]
    assert "checkpoints of steps 5 are not in" in caplog.text
    copy_all(config, directory)
    assert [copy.step for copy in remote_of(config).copies()] == [5]


def test_an_earlier_attempt_writes_over_nothing(config: RunConfig) -> None:
    """Two starts of one run, of which the older one was only cut off: its late files in the newer's copy."""
    directory, remote = begin(config), remote_of(config)
    write(directory, 5)
    files = {"checkpoint/state.json": directory.checkpoint(5) / "state.json"}
    remote.upload(Copy(5, "b"), files, {})
    before = remote.files(Copy(5, "b"))
    (directory.checkpoint(5) / "state.json").write_text("of the older one")
    remote.upload(Copy(5, "a"), files, {})
    assert remote.files(Copy(5, "b")) == before
    assert remote.copies()[-1] == Copy(5, "b")


def test_copies_that_are_not_to_be_kept_are_removed(config: RunConfig) -> None:
    """A bucket that fills up; or the only copy that is whole, gone."""
    config = config.model_copy(update={"remote": config.remote.model_copy(update={"keep_last": 2})})  # type: ignore[union-attr]
    directory, remote = begin(config), remote_of(config)
    remote._put(f"{remote._root}/step-00000003.gone/checkpoint/state.json", b"{}")  # a start that was killed
    for step in (5, 10):
        write(directory, step)
    copy_all(config, directory)
    for step in (15, 20):
        write(directory, step)
    copy_all(config, directory)
    assert [copy.step for copy in remote.copies()] == [15, 20]
    assert sorted(name for name in remote._names() if not name.startswith("attempt")) == sorted(
        name for copy in remote.copies() for name in (copy.name, f"{copy.name}.json")
    )


def test_a_checkpoint_that_is_removed_while_it_is_copied_is_left_out(config: RunConfig) -> None:
    """The run directory keeps the newest only, and is quicker than the store: no copy that lacks files."""
    directory, remote = begin(config), remote_of(config)
    write(directory, 5)
    write(directory, 10)
    put, waits = remote._fs.put_file, threading.Event()

    class Slow(Failing):
        def put_file(self, path: str, there: str) -> None:
            if "step-00000005" in path:
                shutil.rmtree(directory.checkpoint(5), ignore_errors=True)
                waits.set()
            put(path, there)

    remote._fs = Slow(remote._fs, iter(()))
    copier = Copier(remote, directory, new_attempt(), None)
    assert copier.close(60) == []
    assert waits.is_set()
    assert [copy.step for copy in remote.copies()] == [10]


def test_a_new_run_that_can_not_write_there_is_refused(tmp_path: Path) -> None:
    """Found out with the first checkpoint, after hours."""
    (tmp_path / "there").write_text("a file")
    config = run_config(tmp_path / "here", f"file://{tmp_path}/there/below")
    directory = RunDirectory(config.run_dir)
    with (
        pytest.raises(ConfigError, match=r"^remote\.url: file://.* can not be used \("),
        copying(config, directory, ()),
    ):
        raise AssertionError("begun")
    with copying(
        config.model_copy(update={"remote": config.remote.model_copy(update={"finish_seconds": 0})}),
        begin(config),
        (),
    ):  # type: ignore[union-attr]
        pass  # a run that has begun goes on


@pytest.mark.parametrize("address", ["nosuch://bucket/x", "s3:/", "bucket/x", "sftp://me:secret@host/x"])
def test_an_address_that_is_none_is_one_line(tmp_path: Path, address: str) -> None:
    """A traceback of a library; a password in everyone's logs."""
    with pytest.raises(ConfigError) as caught:
        fetch_if_empty(run_config(tmp_path, address), ())
    assert str(caught.value).startswith("remote.url: ")
    assert "secret" not in str(caught.value)
