"""`hbt submit` on two nodes, one of which is lost in the middle of the run.

The nodes are machines of network namespaces where the kernel allows them, else two raylets of one address;
HBT_TEST_NODES=raylets asks for the latter everywhere. The name of each test says which ran.
"""

import contextlib
import filecmp
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.machines import why_no_machines
from tests.coordinator.program import Program
from tests.coordinator.two_nodes import BIN, OneAddress, SeparateNodes, TwoNodes, two_nodes
from tests.corpus_files import passage, write_lines
from tests.distributed.run_for_tests import write_run

# The larger node gets rank 0: it is the one that is lost. The other one holds two ranks and two actors.
CPUS = (4, 5)
STEPS, EVERY = 100, 20

NODES = "import json, sys, ray; ray.init(sys.argv[1]); print(json.dumps(ray.nodes()))"
TAKE_CPUS = """
import sys, threading, ray
from ray.util.placement_group import placement_group
ray.init(sys.argv[1])
here = {ray._raylet.RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}
group = placement_group([{"CPU": int(sys.argv[2])}], bundle_label_selector=[here])
ray.get(group.ready())
print("taken", flush=True)
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the nodes share."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module", params=["namespaces", "raylets"])
def cluster(request: pytest.FixtureRequest, folder: Path) -> Iterator[TwoNodes]:
    reason = why_no_machines()
    if os.environ.get("HBT_TEST_NODES") == "raylets":
        reason = "HBT_TEST_NODES=raylets"
    if request.param == "namespaces" and reason is not None:
        pytest.skip(f"no machines of network namespaces ({reason}): two raylets of one address run instead")
    if request.param == "raylets" and reason is None:
        pytest.skip("machines of network namespaces ran; HBT_TEST_NODES=raylets asks for this form")
    kind = SeparateNodes if request.param == "namespaces" else OneAddress
    with two_nodes(kind, folder, CPUS) as started:
        yield started


@pytest.fixture
def nodes(cluster: TwoNodes) -> Iterator[TwoNodes]:
    """Both are there, and will be for the next test."""
    yield cluster
    if cluster.second_is_lost:
        cluster.bring_second_back()


@pytest.fixture(scope="module")
def run_file(folder: Path) -> Path:
    """A tiny run, evaluated every `EVERY` steps on a small corpus in several shards."""
    root = folder / "miracl"
    passages = (passage(f"{i}#0", f"{'house' if i % 3 else 'tree'} {i} river {i % 7}") for i in range(200))
    topics = (f"q{i}\thouse river {i}\n" for i in range(8))
    judgments = (f"q{i}\tQ0\t{i * 20}#0\t1\n" for i in range(8))
    write_lines(root / "corpus/sw/docs-0.jsonl.gz", *passages)
    write_lines(root / "topics/topics.miracl-v1.0-sw-dev.tsv", *topics)
    write_lines(root / "qrels/qrels.miracl-v1.0-sw-dev.tsv", *judgments)
    benchmark = {"name": "miracl", "root": str(root), "languages": ["sw"]}
    return write_run(
        folder,
        data={"store_dir": str(folder / "stores")},
        train={"max_steps": STEPS, "checkpoint_every": EVERY},
        evaluation={"every": EVERY, "depth": 10, "shard_rows": 20, "benchmarks": [benchmark]},
        cluster={
            "num_workers": 2,
            "gpus_per_worker": 0,
            "placement": "spread",
            "evaluation_actors": 2,
            "wait_seconds": 120,
            "collective_timeout_seconds": 120,
        },
    )


@pytest.fixture(scope="module")
def undisturbed(programs: Any, run_file: Path) -> Path:
    """Directory of the same run on two ranks of one machine, evaluated by one process."""
    output_dir = run_file.parent / "undisturbed"
    done = programs.run(*programs.torchrun(run_file, [f"output_dir={output_dir}"]))
    assert done.returncode == 0, done.stderr
    return output_dir / "tiny"


@contextlib.contextmanager
def submitted(
    nodes: TwoNodes, run_file: Path, undisturbed: Path, *overrides: str
) -> Iterator[tuple[Program, Path]]:
    """`hbt submit` and its run directory. The run goes on from its first checkpoint, which is still to be
    evaluated: so the evaluation begins before the training."""
    folder = Path(tempfile.mkdtemp(dir=run_file.parent))
    directory = folder / undisturbed.name
    first = Path("checkpoints") / f"step-{EVERY:08d}"
    shutil.copytree(undisturbed / first, directory / first)
    lines = (undisturbed / "train.jsonl").read_text().splitlines(keepends=True)
    (directory / "train.jsonl").write_text("".join(lines[:EVERY]))
    command = (BIN / "hbt", "submit", run_file, f"--address={nodes.address}", f"output_dir={folder}")
    with nodes.program(folder / "log", *command, *overrides) as run:
        yield run, directory


@contextlib.contextmanager
def head_is_busy(nodes: TwoNodes, folder: Path) -> Iterator[None]:
    """In the block somebody else has all CPUs of the head but one: it does not hold both ranks."""
    command = (BIN / "python", "-c", TAKE_CPUS, nodes.address, str(CPUS[0] - 1))
    with nodes.program(folder / "busy.log", *command) as other:
        other.wait_until(lambda: "taken" in other.said(), "CPUs")
        yield


def lose_second_in_the_middle(nodes: TwoNodes, run: Program, directory: Path) -> None:
    """Once steps were added by ranks of which each node has one."""
    run.wait_until(lambda: len(losses(directory)) > EVERY + 2, "a step")
    assert [len(nodes.actors(node, "RayTrainWorker")) for node in range(2)] == [1, 1]
    assert len(losses(directory)) < STEPS
    nodes.lose_second()


def losses(directory: Path) -> list[tuple[int, float]]:
    text = (directory / "train.jsonl").read_text()
    whole_lines = text[: text.rfind("\n") + 1].splitlines()
    return [(step["step"], step["loss"]) for step in map(json.loads, whole_lines)]


def measured(folder: Path) -> dict[str, Any]:
    """The summary without the checkpoint's path."""
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in content.items() if key != "checkpoint"}


def test_nodes_have_addresses_of_their_own(nodes: TwoNodes, folder: Path) -> None:
    """Two nodes that are one: everything below would pass without any network."""
    if not isinstance(nodes, SeparateNodes):
        pytest.skip(f"{nodes.form} have none")
    with nodes.program(folder / "nodes.log", BIN / "python", "-c", NODES, nodes.address) as program:
        assert program.wait() == 0, program.said()
    found = json.loads(program.said().splitlines()[-1])
    named = {(node["NodeManagerAddress"], node["NodeManagerHostname"], node["Alive"]) for node in found}
    assert named == {("10.83.0.1", "node-1", True), ("10.83.0.2", "node-2", True)}


def test_run_goes_on_where_there_is_room(nodes: TwoNodes, run_file: Path, undisturbed: Path) -> None:
    """A run that hangs or ends with a node that it could do without; steps or evaluations lost with it."""
    with submitted(nodes, run_file, undisturbed) as (run, directory):
        run.wait_until(lambda: all(nodes.actors(node, "EvaluationActor") for node in range(2)), "actors")
        lose_second_in_the_middle(nodes, run, directory)
        assert run.wait() == 0, run.said()
    assert re.search(rf"rank \d on {nodes.addresses[1]}: .*; starting again \(1 of 3\)", run.said())
    assert run.said().count("resumed from") >= 2
    assert losses(directory) == losses(undisturbed)
    for step in range(EVERY, STEPS + 1, EVERY):
        ours, theirs = (d / f"evaluation/step-{step:08d}/miracl" for d in (directory, undisturbed))
        assert filecmp.cmp(ours / "runs/sw.trec.gz", theirs / "runs/sw.trec.gz", shallow=False)
        assert measured(ours) == measured(theirs)


def test_run_waits_for_the_node_and_goes_on_when_it_is_back(
    nodes: TwoNodes, folder: Path, run_file: Path, undisturbed: Path
) -> None:
    """A run that gives up before its time, or does not notice that there is room again."""
    run_of = submitted(nodes, run_file, undisturbed, "evaluation.benchmarks=[]")
    with head_is_busy(nodes, folder), run_of as (run, directory):
        lose_second_in_the_middle(nodes, run, directory)
        run.wait_until(lambda: "waiting up to" in run.said(), "waiting for the node")
        nodes.bring_second_back()
        assert run.wait() == 0, run.said()
    assert losses(directory) == losses(undisturbed)


def test_run_without_room_ends_and_names_the_lost_node(
    nodes: TwoNodes, folder: Path, run_file: Path, undisturbed: Path
) -> None:
    """A run that waits for ever for a node that never comes back, or ends without a word of it."""
    overrides = ("evaluation.benchmarks=[]", "cluster.wait_seconds=10")
    run_of = submitted(nodes, run_file, undisturbed, *overrides)
    with head_is_busy(nodes, folder), run_of as (run, directory):
        lose_second_in_the_middle(nodes, run, directory)
        assert run.wait() == 1, run.said()
    error = run.said().splitlines()[-1]
    assert error.startswith("hbt: error: ")
    assert nodes.addresses[1] in error
