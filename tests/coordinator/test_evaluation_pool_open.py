"""What does the jobs of a command."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.evaluation_pool_cluster import contents, expected, ray_cluster
from tests.coordinator.evaluation_pool_jobs import Rows, is_alive, processes, wait_for

__all__ = ["ray_cluster"]
ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import json, os, sys
from pathlib import Path
from distributed_hbt.config.load import validate
from distributed_hbt.coordinator.evaluation_pool import open_executor
from distributed_hbt.errors import HbtError
from tests.coordinator.evaluation_pool_jobs import Rows
folder, cluster, address = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3] or None
model = {"architecture": {"model_type": "qwen3"}, "tokenizer": {"train": {"vocab_size": 300}}}
data = {"sources": [{"format": "hbt_jsonl", "path": "rows.jsonl"}]}
config = validate({"name": "run", "model": model, "data": data, "cluster": cluster})
try:
    with open_executor(config, address) as executor:
        executor.run([Rows(folder, index) for index in range(4)], "toys")
    print(json.dumps({"pid": os.getpid(), "ray": "ray" in sys.modules}))
except HbtError as error:
    print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
"""


def command(folder: Path, address: str = "", **cluster: Any) -> dict[str, Any]:
    arguments = [sys.executable, "-c", COMMAND, str(folder), json.dumps(cluster), address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_one_actor_is_this_process(tmp_path: Path) -> None:
    """Seconds of Ray's start, and gigabytes, for one process that does the same."""
    said = command(tmp_path, evaluation_actors=1, gpus_per_worker=0)
    assert said["ray"] is False
    assert set(processes(tmp_path)) == {said["pid"]}


def test_several_actors_are_on_a_cluster_of_this_machine(tmp_path: Path) -> None:
    """A cluster that stays behind when the command has ended."""
    said = command(tmp_path, evaluation_actors=2, gpus_per_worker=0)
    jobs = [Rows(tmp_path, index) for index in range(4)]
    assert contents(jobs) == expected(jobs)
    assert said["pid"] not in processes(tmp_path)
    for pid in processes(tmp_path):
        wait_for(lambda pid=pid: not is_alive(pid))


@pytest.mark.parametrize("actors", [1, 2])
def test_an_address_is_that_of_the_cluster_to_use(tmp_path: Path, ray_cluster: str, actors: int) -> None:
    """A node with the GPUs that this machine lacks; with one actor too."""
    said = command(tmp_path, ray_cluster, evaluation_actors=actors, gpus_per_worker=0)
    jobs = [Rows(tmp_path, index) for index in range(4)]
    assert contents(jobs) == expected(jobs)
    assert said["pid"] not in processes(tmp_path)


def test_an_actor_that_no_node_holds_is_refused_at_once(tmp_path: Path, ray_cluster: str) -> None:
    """Ten minutes of waiting for a GPU that the cluster does not have."""
    said = command(tmp_path, ray_cluster, evaluation_actors=2, gpus_per_worker=1)
    assert said["error"].startswith("cluster: no node holds an evaluation actor (1 CPU and 1 GPU)")
    assert "8 CPUs and 0 GPUs" in said["error"]
    assert said["exit_code"] == 2
    assert processes(tmp_path) == []
