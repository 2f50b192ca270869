"""`launchers/accelerate`: every file as accelerate itself reads it; some really launched, on CPUs."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from distributed_hbt.config.load import load_run, validate
from distributed_hbt.train.zero import read_zero, with_deepspeed
from tests.distributed.run_for_tests import write_run
from tests.programs import ROOT, Programs

FILES = sorted((ROOT / "launchers/accelerate").glob("*.yaml"))
MACHINES = {"cpu": (1, 2), "one_gpu": (1, 1), "one_node": (1, 8), "several_nodes": (2, 16)}
"""What a file is named for: the number of machines and of ranks."""
RUN: dict[str, Any] = {
    "name": "t",
    "model": {"architecture": {"model_type": "qwen3"}, "tokenizer": "t"},
    "data": {"sources": [{"format": "hbt_jsonl", "path": "x"}]},
}


def named_for(file: Path) -> tuple[str, str]:
    """The machines, and the ZeRO configuration."""
    found = re.fullmatch(r"(cpu|one_gpu|one_node|several_nodes)_(zero\w+)", file.stem)
    assert found is not None, file
    return found[1], f"ds_configs/{found[2]}.json"


def launched(monkeypatch: pytest.MonkeyPatch, file: Path, flags: Sequence[str]) -> tuple[Any, dict[str, str]]:
    """What `accelerate launch` asks of torchrun for the file, and the ranks' environment. Starts nothing."""
    import torch.distributed.run
    from accelerate.commands.launch import launch_command, launch_command_parser

    asked: list[tuple[Any, dict[str, str]]] = []
    monkeypatch.setattr(torch.distributed.run, "run", lambda args: asked.append((args, dict(os.environ))))
    words = ["--config_file", str(file), *flags, "-m", "distributed_hbt.train", "RUN.yaml"]
    launch_command(launch_command_parser().parse_args(words))
    (one,) = asked
    return one


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_file_is_what_it_is_named_for(file: Path) -> None:
    """A key that accelerate does not know, ranks of other machines, weights that are first built whole."""
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
    from accelerate.utils import DistributedType

    config = load_config_from_file(str(file))
    machines, zero = named_for(file)
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == DistributedType.DEEPSPEED
    assert (config.num_machines, config.num_processes) == MACHINES[machines]
    assert config.use_cpu is False
    assert config.main_process_ip is None
    assert config.deepspeed_config is not None
    assert config.deepspeed_config["deepspeed_config_file"] == zero
    stage = read_zero(str(ROOT / zero))["zero_optimization"]["stage"]
    assert config.deepspeed_config["zero3_init_flag"] is (stage == 3)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_launcher_starts_the_ranks_with_the_file_s_zero_configuration(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several nodes over ssh instead of the launchers that were started there, or a default stage."""
    monkeypatch.chdir(ROOT)
    machines, zero = named_for(file)
    nodes, ranks = MACHINES[machines]
    several = ("--machine_rank=1", "--main_process_ip=10.0.0.1") if nodes > 1 else ()
    arguments, environment = launched(monkeypatch, file, several)
    assert int(arguments.nproc_per_node) == ranks // nodes
    assert arguments.module is True
    if nodes > 1:
        assert (arguments.nnodes, arguments.node_rank) == (str(nodes), 1)
        assert arguments.rdzv_endpoint == "10.0.0.1:29500"
    settled = with_deepspeed(validate(RUN), environment)
    assert settled.train.deepspeed == str(ROOT / zero)


def test_every_zero_configuration_has_its_files() -> None:
    """A configuration of ds_configs that no accelerate user finds."""
    shipped = {f"ds_configs/{file.name}" for file in (ROOT / "ds_configs").glob("*.json")}
    assert {named_for(file)[1] for file in FILES} == shipped
    gpus = {named_for(file) for file in FILES if not file.stem.startswith("cpu")}
    for machines in ("one_node", "several_nodes"):
        for stage in (1, 2, 3):
            assert (machines, f"ds_configs/zero{stage}.json") in gpus


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("accelerate"), train={"max_steps": 3, "deepspeed": None})


def state(run_file: Path, name: str) -> dict[str, Any]:
    path = run_file.parent / "runs" / name / "checkpoints/step-00000003/state.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def zero_of(run_file: Path, name: str) -> str:
    config = load_run(run_file.parent / "runs" / name / "config.yaml")
    assert config.train.deepspeed is not None
    return Path(config.train.deepspeed).name


def test_offload_trains_on_a_cpu(programs: Programs, run_file: Path) -> None:
    """An optimizer that has to be compiled first, or that DeepSpeed refuses."""
    flags = ("--num_processes", "2")
    done = programs.run(*programs.accelerate("one_node_zero3_offload", run_file, "name=offload", flags=flags))
    assert done.returncode == 0, done.stderr
    assert (state(run_file, "offload")["world_size"], state(run_file, "offload")["zero_stage"]) == (2, 3)
    assert zero_of(run_file, "offload") == "zero3_offload.json"


def test_one_launcher_a_node_makes_one_run(programs: Programs, run_file: Path, tmp_path: Path) -> None:
    """Two nodes that train apart, or a launcher that waits for an address that the file names."""
    port = _free_port()
    processes: list[subprocess.Popen[bytes]] = []
    for node in range(2):
        flags = ("--num_processes=2", f"--machine_rank={node}", "--main_process_ip=127.0.0.1")
        flags = (*flags, f"--main_process_port={port}")
        command = programs.accelerate("several_nodes_zero2", run_file, "name=nodes", flags=flags)
        processes.append(programs.start(*command, log=tmp_path / f"log-{node}"))
    codes = [process.wait(900) for process in processes]
    assert codes == [0, 0], "\n".join((tmp_path / f"log-{node}").read_text() for node in range(2))
    assert (state(run_file, "nodes")["world_size"], state(run_file, "nodes")["zero_stage"]) == (2, 2)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
