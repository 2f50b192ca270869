"""`hbt submit` on two nodes, one of which is lost in the middle of the run.

The nodes are machines of network namespaces where the kernel allows them, else two raylets of one address;
HBT_TEST_NODES=raylets asks for the latter everywhere. The name of each test says which ran.
"""

import contextlib
import filecmp
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.machines import why_no_machines
from tests.coordinator.two_nodes import (
    BIN,
    SECONDS_UNTIL_HUNG,
    OneAddress,
    SeparateNodes,
    TwoNodes,
    two_nodes,
)
from tests.corpus_files import passage, write_lines
from tests.distributed.run_for_tests import write_run

# The larger node gets rank 0: it is the one that is lost. What is left holds two ranks and two actors.
CPUS = (4, 5)
STEPS, EVERY = 100, 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "nodes" in metafunc.fixturenames:
        metafunc.parametrize("nodes", ["namespaces", "raylets"], indirect=True, scope="module")


@dataclass(frozen=True)
class Submitted:
    """A run that was submitted from the head."""

    process: "subprocess.Popen[bytes]"
    log: Path
    directory: Path

    def said(self) -> str:
        return self.log.read_text()

    def steps(self) -> int:
        return len((self.directory / "train.jsonl").read_text().splitlines())

    def wait_until(self, true: Callable[[], bool], what: str) -> None:
        """Raises AssertionError if the run ends before that, or it takes too long."""
        deadline = time.monotonic() + SECONDS_UNTIL_HUNG
        while not true():
            assert self.process.poll() is None, f"ended before {what}:\n{self.said()}"
            assert time.monotonic() < deadline, f"no sign of {what}:\n{self.said()}"
            time.sleep(0.02)

    def wait_until_it_trains_on_both(self, nodes: TwoNodes) -> None:
        """Until steps have been added, of ranks of which each node has one."""
        self.wait_until(lambda: self.steps() > EVERY + 2, "a step")
        for node in range(2):
            assert len(nodes.actors(node, "RayTrainWorker")) == 1
        assert self.steps() < STEPS

    def wait(self) -> int:
        """For its end; the exit status."""
        try:
            return self.process.wait(SECONDS_UNTIL_HUNG)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run hangs:\n{self.said()}") from None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the nodes share."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest, folder: Path) -> Iterator[TwoNodes]:
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


@pytest.fixture(scope="module")
def run_file(folder: Path) -> Path:
    """A tiny run, evaluated every `EVERY` steps on a small corpus in several shards."""
    root = folder / "miracl"
    write_lines(
        root / "corpus/sw/docs-0.jsonl.gz",
        *(passage(f"{i}#0", f"{'house' if i % 3 else 'tree'} {i} river {i % 7}") for i in range(200)),
    )
    write_lines(
        root / "topics/topics.miracl-v1.0-sw-dev.tsv", *(f"q{i}\thouse river {i}\n" for i in range(8))
    )
    write_lines(
        root / "qrels/qrels.miracl-v1.0-sw-dev.tsv", *(f"q{i}\tQ0\t{i * 20}#0\t1\n" for i in range(8))
    )
    return write_run(
        folder,
        data={"store_dir": str(folder / "stores")},
        train={"max_steps": STEPS, "checkpoint_every": EVERY},
        evaluation={
            "every": EVERY,
            "depth": 10,
            "shard_rows": 20,
            "benchmarks": [{"name": "miracl", "root": str(root), "languages": ["sw"]}],
        },
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
def submitted(nodes: TwoNodes, run_file: Path, undisturbed: Path, *overrides: str) -> Iterator[Submitted]:
    """The run goes on, on the nodes, from its first checkpoint, which is still to be evaluated: so the
    evaluation begins before the training."""
    folder = Path(tempfile.mkdtemp(dir=run_file.parent))
    directory = folder / undisturbed.name
    first = Path("checkpoints") / f"step-{EVERY:08d}"
    shutil.copytree(undisturbed / first, directory / first)
    lines = (undisturbed / "train.jsonl").read_text().splitlines(keepends=True)
    (directory / "train.jsonl").write_text("".join(lines[:EVERY]))
    command = (BIN / "hbt", "submit", run_file, f"--address={nodes.address}", f"output_dir={folder}")
    process = nodes.start(*command, *overrides, log=folder / "log")
    try:
        yield Submitted(process, folder / "log", directory)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_nodes_have_addresses_of_their_own(nodes: TwoNodes, folder: Path) -> None:
    """Two nodes that are one: everything below would pass without any network."""
    if not isinstance(nodes, SeparateNodes):
        pytest.skip(f"{nodes.form} have none")
    code = "import json, sys, ray; ray.init(sys.argv[1]); print(json.dumps(ray.nodes()))"
    (folder / "nodes.py").write_text(code)
    process = nodes.start(BIN / "python", folder / "nodes.py", nodes.address, log=folder / "nodes.log")
    assert process.wait(SECONDS_UNTIL_HUNG) == 0
    found = json.loads((folder / "nodes.log").read_text().splitlines()[-1])
    named = {(node["NodeManagerAddress"], node["NodeManagerHostname"], node["Alive"]) for node in found}
    assert named == {("10.83.0.1", "node-1", True), ("10.83.0.2", "node-2", True)}


def test_run_goes_on_where_there_is_room(nodes: TwoNodes, run_file: Path, undisturbed: Path) -> None:
    """A run that hangs or ends with a node that it could do without; steps or evaluations lost with it."""
    with submitted(nodes, run_file, undisturbed) as run:
        for node in range(2):
            run.wait_until(lambda node=node: nodes.actors(node, "EvaluationActor") != [], "actors")
        run.wait_until_it_trains_on_both(nodes)
        nodes.lose_second()
        assert run.wait() == 0, run.said()
    assert f"rank 0 on {nodes.addresses[1]}: the node died; starting again (1 of 3)" in run.said()
    assert losses(run.directory) == losses(undisturbed)
    for step in range(EVERY, STEPS + 1, EVERY):
        ours, theirs = (d / f"evaluation/step-{step:08d}/miracl" for d in (run.directory, undisturbed))
        assert filecmp.cmp(ours / "runs/sw.trec.gz", theirs / "runs/sw.trec.gz", shallow=False)
        assert measured(ours) == measured(theirs)
    nodes.bring_second_back()


def test_run_waits_for_the_node_and_goes_on_when_it_is_back(
    nodes: TwoNodes, run_file: Path, undisturbed: Path
) -> None:
    """A run that gives up before its time, or does not notice that there is room again."""
    with submitted(nodes, run_file, undisturbed, *ONLY_ON_BOTH) as run:
        run.wait_until_it_trains_on_both(nodes)
        nodes.lose_second()
        run.wait_until(lambda: "waiting up to" in run.said(), "waiting for the node")
        nodes.bring_second_back()
        assert run.wait() == 0, run.said()
    assert losses(run.directory) == losses(undisturbed)


def test_run_without_room_ends_and_names_the_lost_node(
    nodes: TwoNodes, run_file: Path, undisturbed: Path
) -> None:
    """A run that waits for ever for a node that never comes back, or ends without a word of it."""
    with submitted(nodes, run_file, undisturbed, *ONLY_ON_BOTH, "cluster.wait_seconds=10") as run:
        run.wait_until_it_trains_on_both(nodes)
        nodes.lose_second()
        assert run.wait() == 1, run.said()
    error = run.said().splitlines()[-1]
    assert error.startswith("hbt: error: ")
    assert nodes.addresses[1] in error
    nodes.bring_second_back()


ONLY_ON_BOTH = ("cluster.cpus_per_worker=3", "evaluation.benchmarks=[]")
"""No node holds both ranks, and nothing is evaluated."""


def losses(directory: Path) -> list[tuple[int, float]]:
    lines = (directory / "train.jsonl").read_text().splitlines()
    return [(step["step"], step["loss"]) for step in map(json.loads, lines)]


def measured(folder: Path) -> dict[str, Any]:
    """The summary without the checkpoint's path."""
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in content.items() if key != "checkpoint"}
