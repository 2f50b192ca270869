"""A machine that runs out of disk, of open files, of ports: one line, and nothing half written counts."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distributed_hbt.cli import main
from distributed_hbt.config.load import load_run
from distributed_hbt.errors import ConfigError
from tests.distributed.run_for_tests import LANGUAGES, write_run
from tests.lareqa_files import write_lareqa
from tests.programs import BIN, Programs
from tests.small_disks import SmallDisk, small_disk


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("run") / "runs", "40m") as mounted:
        yield mounted


@pytest.fixture(scope="module")
def run_file(disk: SmallDisk) -> Path:
    """The run is on the small disk; its store and its MLflow database are not."""
    folder = disk.path.parent
    return write_run(
        folder,
        data={"store_dir": str(folder / "stores")},
        train={"max_steps": 150, "checkpoint_every": 150},
        tracking={"uri": f"sqlite:///{folder}/mlflow.db", "system_metrics": False},
        evaluation={"benchmarks": [write_lareqa(folder / "lareqa", LANGUAGES)], "every": None},
    )


def error_of(text: str) -> str:
    """The last line, which is the only one of an error."""
    lines = [line for line in text.splitlines() if line.startswith("hbt: error")]
    assert "Traceback" not in text
    assert lines == text.splitlines()[-1:], text
    return lines[0]


def test_a_disk_that_is_full_while_the_log_is_written_ends_the_run_which_then_goes_on(
    disk: SmallDisk, run_file: Path, tmp_path: Path
) -> None:
    """A traceback of a file that is flushed; a half line of the log that no later start gets past; steps that
    are missing in it, or in MLflow."""
    programs = Programs()
    log, lines = tmp_path / "log", disk.path / "tiny" / "train.jsonl"
    process = programs.start(BIN / "hbt", "train", run_file, log=log)
    while not lines.exists() or lines.read_bytes().count(b"\n") < 20:
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    disk.fill()
    assert process.wait() == 1
    line = error_of(log.read_text())
    assert "the disk is full" in line
    assert line.endswith("make room and start again: what was begun is not taken for whole")
    disk.make_room()
    again = programs.run(BIN / "hbt", "train", run_file)
    assert again.returncode == 0, again.stderr
    steps = [json.loads(one)["step"] for one in lines.read_text().splitlines()]
    assert steps == list(range(1, 151))
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=str(load_run(run_file).tracking.uri))
    run = json.loads((disk.path / "tiny" / "mlflow.json").read_text())["run_id"]
    history = client.get_metric_history(run, "train/loss")
    assert sorted(one.step for one in history) == steps


def test_a_disk_that_is_full_while_results_or_an_export_are_written(
    disk: SmallDisk, run_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Results, or a model, that lack a part and look whole. (The checkpoint is the test's above.)"""
    checkpoint = disk.path / "tiny" / "checkpoints" / "step-00000150"
    out = disk.path / "results"
    disk.fill()
    asked = ["evaluate", str(run_file), "--checkpoint", str(checkpoint), "--out", str(out)]
    assert main(asked) == 1
    assert "can not be written (No space left on device); free some space" in error_of(
        capsys.readouterr().err
    )
    assert not list(out.rglob("summary.json"))
    exported = disk.path / "exported"
    assert main(["export", str(checkpoint), "--out", str(exported)]) in (1, 2)
    assert "No space left on device" in error_of(capsys.readouterr().err)
    assert not exported.exists()
    disk.make_room()
    assert main(asked) == 0
    assert main(["export", str(checkpoint), "--out", str(exported)]) == 0
    assert list(out.rglob("summary.json"))


def test_a_disk_that_is_full_while_the_store_is_built(tmp_path: Path) -> None:
    """Half a store that is trained on; a full disk for which the data is blamed."""
    from distributed_hbt.train.prepared import prepare

    with small_disk(tmp_path / "small", "64k") as small:
        config = load_run(write_run(tmp_path, groups=100, data={"store_dir": str(small.path)}))
        with pytest.raises(ConfigError) as caught:
            prepare(config)
        assert caught.value.where == "data.store_dir"
        assert "No space left on device" in str(caught.value)
        left = [path.name for path in small.path.iterdir() if path.suffix not in (".lock", "")]
        assert not left


def test_a_port_that_is_taken_is_one_line(run_file: Path) -> None:
    """Two runs of one machine with the launcher's default port: a traceback of four libraries."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        place = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
        done = Programs().run(
            BIN / "hbt", "train", run_file, "name=port", environment={**place, "MASTER_PORT": port}
        )
    assert done.returncode == 1
    line = error_of(done.stderr)
    assert "the port is taken by another process" in line
    assert port in line


def test_too_few_open_files_are_named_and_not_taken_for_damage(run_file: Path) -> None:
    """A store that can not be opened for want of descriptors: users were told to delete it."""
    limited = ["prlimit", "--nofile=16", str(BIN / "hbt"), "train", str(run_file), "name=files"]
    done = Programs().run(*limited)
    assert done.returncode == 1
    line = error_of(done.stderr)
    assert "too many open files for this process" in line
    assert "ulimit -n" in line
    assert "delete the store" not in line
