"""A team's MLflow server that is lost while a run trains: nothing of the run is."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.distributed.run_for_tests import write_run
from tests.programs import BIN, Programs
from tests.tracking_stack import BUCKET, TrackingStack


@dataclass(frozen=True)
class Outage:
    """A run that was stopped after two outages: its directory, what it logged, its exit code, and the steps
    that were done when the server was lost, and when it was started again."""

    directory: Path
    log: str
    exit_code: int
    lost_at: int
    back_at: int


@pytest.fixture(scope="module")
def outage(stack: TrackingStack, tmp_path_factory: pytest.TempPathFactory) -> Outage:
    """The server is killed in the middle of a run, and started again; and it is ended and started again
    while the run writes what it has left to write. MLflow's own client gives up at once here, so that it is
    the run's patience which is shown."""
    programs = Programs()
    programs.environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    folder = tmp_path_factory.mktemp("outage")
    run_file = write_run(
        folder,
        train={"max_steps": 100_000, "checkpoint_every": 100_000},
        tracking={"uri": stack.server.uri, "experiment": "outage"},
    )
    directory, log = folder / "runs" / "tiny", folder / "log"
    process = programs.start(BIN / "hbt", "train", run_file, log=log)

    def wait_for(what: Callable[[], bool], pause: float = 0.02) -> None:
        while not what():
            assert process.poll() is None, log.read_text()
            time.sleep(pause)

    try:
        wait_for(lambda: arrived(stack, directory) > 0, pause=0.5)
        stack.server.kill()
        lost_at = len(lines(directory))
        wait_for(lambda: len(lines(directory)) >= lost_at + 50)
        stack.server.start()
        back_at = len(lines(directory))
        wait_for(lambda: arrived(stack, directory) > back_at, pause=0.5)
        stack.server.end()
        os.killpg(process.pid, signal.SIGTERM)
        wait_for(lambda: "wrote " in log.read_text())  # its checkpoint; what is left is to be kept
        stack.server.start()
        process.wait()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Outage(directory, log.read_text(), process.returncode, lost_at, back_at)


def test_a_run_that_is_killed_and_resumed_without_its_server_is_recorded_once(
    stack: TrackingStack, tmp_path: Path
) -> None:
    """A server that is away for hours: the run is killed meanwhile, restarted, and killed again before the
    server is back. What waited for it is sent by the start after that, and no step stands there twice."""
    programs = Programs()
    programs.environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    train = {"max_steps": 100_000, "checkpoint_every": 20}
    run_file = write_run(tmp_path, train=train, tracking={"uri": stack.server.uri, "experiment": "gone"})
    directory = tmp_path / "runs" / "tiny"

    def run_until(what: Callable[[], bool], by: signal.Signals, *, kill_server: bool = False) -> str:
        log = tmp_path / "log"
        process = programs.start(BIN / "hbt", "train", run_file, log=log)

        def wait_for(what: Callable[[], bool]) -> None:
            while not what():
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)

        try:
            wait_for(what)
            if kill_server:
                stack.server.kill()
                seen = len(lines(directory))
                wait_for(lambda: len(lines(directory)) >= seen + 30)
        finally:
            os.killpg(process.pid, by)
            process.wait()
        return log.read_text()

    run_until(lambda: arrived(stack, directory) > 0, signal.SIGKILL, kill_server=True)
    killed_at = len(lines(directory))

    def goes_on_without() -> bool:
        said = "MLflow can not be reached" in (tmp_path / "log").read_text()
        return said and len(lines(directory)) > killed_at + 30

    run_until(goes_on_without, signal.SIGKILL)
    stack.server.start()
    last_known = len(lines(directory))
    back = run_until(lambda: arrived(stack, directory) > last_known + 5, signal.SIGTERM)
    assert "entries that an earlier start had left" in back
    steps = {one["step"]: one for one in map(json.loads, lines(directory))}
    client, run = mlflow_client(stack), run_id(directory)
    for key in ("loss", "lr", "grad_norm"):  # the times of steps that were done twice are of the first
        history = client.get_metric_history(run, f"train/{key}")
        kept = Counter((one.step, one.value) for one in history)
        assert kept == Counter((step, float(one[key])) for step, one in steps.items()), key
    times = [one.step for one in client.get_metric_history(run, "train/seconds")]
    assert sorted(times) == sorted(steps)
    assert client.get_run(run).info.status == "KILLED"


def lines(directory: Path) -> list[str]:
    """Whole lines of train.jsonl."""
    file = directory / "train.jsonl"
    return file.read_text().split("\n")[:-1] if file.exists() else []


def arrived(stack: TrackingStack, directory: Path) -> int:
    """The last step that MLflow has of the run; 0 where it has none."""
    if not (directory / "mlflow.json").exists():
        return 0
    history = mlflow_client(stack).get_metric_history(run_id(directory), "train/loss")
    return max((one.step for one in history), default=0)


def mlflow_client(stack: TrackingStack) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=stack.server.uri)


def run_id(directory: Path) -> str:
    return str(json.loads((directory / "mlflow.json").read_text())["run_id"])


def test_training_does_not_wait_for_the_server(outage: Outage) -> None:
    """A step that waits for a store which is away; and a run that says nothing of what it waits with."""
    assert outage.back_at >= outage.lost_at + 50
    assert "MLflow can not be reached" in outage.log
    assert "MLflow is back" in outage.log
    assert "could not be written" not in outage.log
    assert "are not in MLflow" not in outage.log


def test_every_number_of_every_step_arrives_once(stack: TrackingStack, outage: Outage) -> None:
    """Steps that are lost with the server, or that are written again because its answer was lost."""
    client, run = mlflow_client(stack), run_id(outage.directory)
    steps = [json.loads(line) for line in lines(outage.directory)]
    assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) > outage.back_at
    names = sorted(name for name in client.get_run(run).data.metrics if name.startswith("train/"))
    numbers = [key for key, value in steps[0].items() if isinstance(value, int | float) and key != "step"]
    assert names == sorted(f"train/{key}" for key in numbers)
    for key in numbers:
        history = client.get_metric_history(run, f"train/{key}")
        kept = Counter((one.step, one.value) for one in history)
        assert kept == Counter((step["step"], float(step[key])) for step in steps), key


def test_files_and_the_end_of_the_run_arrive(stack: TrackingStack, outage: Outage) -> None:
    """A run that seems to go on for ever, or whose log is not the one on the disk. The files lie in S3."""
    client, run = mlflow_client(stack), run_id(outage.directory)
    found = client.get_run(run)
    assert outage.exit_code == 1
    assert found.info.status == "KILLED"
    (start,) = {one["Key"].partition(run)[0] for one in listed(stack) if run in one["Key"]}
    for name in ("config.yaml", "train.jsonl"):
        content = stack.s3.get_object(Bucket=BUCKET, Key=f"{start}{run}/artifacts/{name}")["Body"].read()
        assert content == (outage.directory / name).read_bytes()


def listed(stack: TrackingStack) -> list[dict[str, Any]]:
    return list(stack.s3.list_objects_v2(Bucket=BUCKET)["Contents"])


def test_other_hosts_are_refused(stack: TrackingStack) -> None:
    """A setting of the allowed hosts that allows all of them."""
    request = urllib.request.Request(f"{stack.server.uri}/api/2.0/mlflow/experiments/search?max_results=1")
    request.add_header("Host", "elsewhere:5000")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
    assert caught.value.code == 403
