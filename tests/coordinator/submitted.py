"""`hbt submit` as a program: started, watched, hit, and what it leaves."""

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

SECONDS_UNTIL_HUNG = 900


class Submitted:
    """A submit that runs. `directory` is that of its run."""

    def __init__(self, process: subprocess.Popen[bytes], directory: Path, log: Path) -> None:
        self.process = process
        self.directory = directory
        self._log = log

    @property
    def log(self) -> str:
        """What it has written to stdout and stderr so far."""
        return self._log.read_text()

    def wait_until(self, reached: Callable[[], bool]) -> None:
        """Fails where the program ends before, or never gets there."""
        deadline = time.monotonic() + SECONDS_UNTIL_HUNG
        while not reached():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.005)

    def wait_for_step(self, step: int) -> None:
        self.wait_until(lambda: last_step(self.directory) >= step)

    def exit_code(self) -> int:
        """Waits for the end."""
        return self.process.wait(SECONDS_UNTIL_HUNG)

    def descendants(self) -> list[psutil.Process]:
        """Everything that it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def close(self) -> None:
        """End it, in case it still runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in [psutil.Process(self.process.pid), *self.descendants()]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.process.wait()


def ranks(directory: Path, processes: list[psutil.Process]) -> list[psutil.Process]:
    """The ranks of a run among these processes, rank 0 first: it holds the lock of the run."""
    workers = [process for process in processes if "RayTrainWorker" in " ".join(process.cmdline())]
    lock = str(directory / "training.lock")

    def holds_lock(process: psutil.Process) -> bool:
        for file in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                if str(file.readlink()) == lock:
                    return True
        return False

    return sorted(workers, key=holds_lock, reverse=True)


def steps(directory: Path) -> list[dict[str, Any]]:
    """The lines of train.jsonl."""
    return [json.loads(line) for line in (directory / "train.jsonl").read_text().splitlines()]


def losses(directory: Path) -> list[float]:
    return [line["loss"] for line in steps(directory)]


def last_step(directory: Path) -> int:
    """The last step that is logged, 0 before the first."""
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):  # a line may be half written
        lines = (directory / "train.jsonl").read_text().splitlines()
        return int(json.loads(lines[-1])["step"]) if lines else 0
    return 0


def checkpoints(directory: Path) -> list[int]:
    """Steps of the checkpoints that are whole."""
    return sorted(int(marker.parent.name[5:]) for marker in directory.glob("checkpoints/step-*/COMPLETE"))


def error_lines(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("hbt: error")]


def mlflow_id(directory: Path) -> str:
    """Of the run that the run directory names."""
    return str(json.loads((directory / "mlflow.json").read_text())["run_id"])


def mlflow_run(directory: Path) -> Any:
    """That run in MLflow."""
    from mlflow import MlflowClient

    about = json.loads((directory / "mlflow.json").read_text())
    return MlflowClient(about["tracking_uri"]).get_run(about["run_id"])
