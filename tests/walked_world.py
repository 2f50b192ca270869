"""A folder in which the commands of the docs find what they name, small enough to run all of them."""

import json
import multiprocessing
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from tests.distributed.run_for_tests import rows
from tests.lareqa_files import write_lareqa
from tests.mlflow_server import WITHOUT_JOBS, free_port
from tests.programs import BIN, OF_A_RANK, ROOT

LANGUAGES = ["de", "en", "es"]
TINY = {
    "model_type": "qwen3",
    **{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1},
    **{"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8},
}
_WARM = ["torch", "transformers", "deepspeed", "accelerate", "peft", "mlflow", "pandas", "scipy.stats"]
_SERVERS = (["mlflow", "ui"], ["mlflow", "server"])
_SECONDS = 900


class World:
    """A folder like the repository's root, with an environment that is set up. The shipped run is the one of
    the repository but for its sizes: a tiny model, three languages of generated text, small batches; as many
    steps and checkpoints as the docs name."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment

    @classmethod
    def build(cls, folder: Path) -> "World":
        for name in ("launchers", "ds_configs", "k8s"):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name)
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy2(ROOT / name, folder / name)
        _shrink(folder / "launchers/runs/xquad_r_tiny.yaml")
        write_lareqa(folder / "shared/data/xquad-r", LANGUAGES, articles=48)
        (folder / "scored.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(40)))
        (folder / ".venv").mkdir()
        (folder / ".venv/bin").symlink_to(BIN)
        (folder / ".venv/.ready").touch()
        kept = {k: v for k, v in os.environ.items() if k not in OF_A_RANK}
        of_tests = {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HBT_SHARED": str(folder / "shared"),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            **WITHOUT_JOBS,
        }
        return cls(folder, {**kept, **of_tests})

    def add_seeds(self) -> None:
        """The other runs that the README says are trained like hybrid-13: its copies under their names."""
        for strategy, seed in (("hybrid", 14), ("x_x_mono", 13), ("x_x_mono", 14)):
            run = self.folder / f"runs/{strategy}-{seed}"
            shutil.copytree(self.folder / "runs/hybrid-13", run)
            config = yaml.safe_load((run / "config.yaml").read_text())
            config |= {
                "name": run.name,
                "seed": seed,
                "sampling": {**config["sampling"], "strategy": strategy},
            }
            (run / "config.yaml").write_text(yaml.safe_dump(config))

    def copy(self, folder: Path) -> "World":
        """Another world with the runs of this one, and nothing else that was made in it."""
        made = shutil.ignore_patterns("report", "results", "exported", "mined.jsonl.gz")
        shutil.copytree(self.folder, folder, symlinks=True, ignore=made)
        return World(folder, {**self.environment, "HBT_SHARED": str(folder / "shared")})

    def run(self, command: str) -> tuple[int, str]:
        """(exit code, output) of a command as a page has it."""
        words = shlex.split(command.partition("<<")[0])
        if words[:2] in _SERVERS:
            return self._serve(command)
        if words[0] == "hbt" and words[1] != "submit":
            return self._fork(words[1:])
        if words[0] == "export":
            self.environment.update(word.split("=", 1) for word in words[1:])
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    def _fork(self, words: list[str]) -> tuple[int, str]:
        """`hbt`, from a process that has imported the large libraries already."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_WARM)
        log = self.folder / ".output"
        expanded = [word.replace("$PWD", str(self.folder)) for word in words]
        process = context.Process(target=_hbt, args=(expanded, str(self.folder), self.environment, str(log)))
        process.start()
        process.join(_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
        return int(process.exitcode or 0), log.read_text()

    def _serve(self, command: str) -> tuple[int, str]:
        """A server answers until it is ended."""
        port = free_port()
        log = self.folder / ".output"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command} --port {port} --workers 1"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            while process.poll() is None:
                with suppress(OSError), opener.open(f"http://127.0.0.1:{port}/health", timeout=5):
                    return 0, log.read_text()
                time.sleep(0.5)
            return process.returncode, log.read_text()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _hbt(words: list[str], folder: str, environment: dict[str, str], log: str) -> None:
    """In the child."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    from distributed_hbt.cli import main

    sys.exit(main(words))


def _shrink(run_file: Path) -> None:
    """The sizes of a run, and nothing else of it."""
    run: dict[str, Any] = yaml.safe_load(run_file.read_text())
    run["model"] |= {"architecture": TINY, "tokenizer": {"train": {"vocab_size": 400}}}
    run["data"]["sources"][0]["languages"] = LANGUAGES
    run["train"]["global_batch_size"] = 8
    run["evaluation"]["benchmarks"][0]["languages"] = LANGUAGES
    run_file.write_text(yaml.safe_dump(run, sort_keys=False))
