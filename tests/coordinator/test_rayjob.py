"""The RayJob of the smoke overlay without Kubernetes: what it has pods do, done on a Ray cluster."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.check.manifests import Manifests, Pod, ray_pods, render
from k8s.check.overlays import K8S
from k8s.check.run import mounted_files
from tests.coordinator.conftest import Head, ray_head, ray_worker
from tests.coordinator.submitted import SECONDS_UNTIL_HUNG, checkpoints, last_step, mlflow_run, steps
from tests.programs import ROOT

STEPS, EVERY, MIDDLE = 60, 50, 10
CHANGES = f"train.max_steps={STEPS}\ntrain.checkpoint_every={EVERY}\ntracking.uri=null\nname=told"


@dataclass(frozen=True)
class PodHere:
    """The head's pod, with its files in a folder of this machine."""

    head: Head
    pod: Pod
    job: dict[str, Any]
    folder: Path

    def here(self, text: str) -> str:
        """The same with paths of this machine."""
        for path in ("/etc/hbt", "/shared"):
            text = text.replace(path, f"{self.folder}{path}")
        return text

    def environment(self, cluster: str) -> dict[str, str]:
        return {**self.head.environment, "RAY_CLUSTER_NAME": cluster, "RAY_ADDRESS": self.head.address}

    def ask(self, path: str, content: dict[str, Any] | None = None) -> Any:
        """The dashboard, as the operator does in HTTPMode."""
        data = None if content is None else json.dumps(content).encode()
        header = {"Authorization": f"Bearer {self.head.environment['RAY_AUTH_TOKEN']}"}
        request = urllib.request.Request(f"{self.head.dashboard}/api/jobs/{path}", data=data, headers=header)
        with urllib.request.urlopen(request, timeout=SECONDS_UNTIL_HUNG) as answer:
            return json.load(answer)

    def submit(self, cluster: str) -> str:
        """Start the entrypoint, in the pod's environment; the job's id."""
        variables = {"RAY_CLUSTER_NAME": cluster, "RAY_ADDRESS": self.head.address, "PYTHONPATH": str(ROOT)}
        environment = yaml.safe_load(self.job["spec"]["runtimeEnvYAML"])
        environment["env_vars"].update(variables)
        entrypoint = self.here(self.job["spec"]["entrypoint"])
        return str(self.ask("", {"entrypoint": entrypoint, "runtime_env": environment})["submission_id"])

    def status_at_end(self, job: str) -> str:
        deadline = time.monotonic() + SECONDS_UNTIL_HUNG
        while (status := str(self.ask(job)["status"])) in ("PENDING", "RUNNING"):
            assert time.monotonic() < deadline, self.log(job)
            time.sleep(0.2)
        return status

    def log(self, job: str) -> str:
        return str(self.ask(f"{job}/logs")["logs"])


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[PodHere]:
    """Of a cluster with a node for each pod, as large as that."""
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl; install it: kubernetes.io/docs/tasks/tools")
    manifests: Manifests = render(K8S / "overlays/smoke", "smoke")
    (job,) = manifests.of_kind("RayJob")
    head_pod, worker_pod = ray_pods(job)
    sizes = [f"--{name}={head_pod.start[name]}" for name in ("num-cpus", "num-gpus")]  # type: ignore[index]
    with (
        ray_head(*sizes) as head,
        ray_worker(head, tmp_path / "worker.log", f"--num-cpus={worker_pod.limits()['cpu']}", "--num-gpus=0"),
    ):
        yield _with_files(PodHere(head, head_pod, job, tmp_path), manifests)


def _with_files(found: PodHere, manifests: Manifests) -> PodHere:
    """What ConfigMaps and the init container bring."""
    tmp_path, head = found.folder, found.head
    for path, text in mounted_files(manifests, found.pod).items():
        file = Path(found.here(path))
        if file.is_relative_to(tmp_path):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(found.here(text) + (f"\n{CHANGES}\n" if file.name == "cluster" else ""))
    (start,) = found.pod.spec["initContainers"]
    command = [found.here(word) for word in start["command"]]
    subprocess.run(command, check=True, cwd=ROOT, env={**head.environment, "PYTHONPATH": str(ROOT)})
    return found


def test_pod_that_goes_leaves_a_checkpoint_and_the_next_attempt_goes_on(pod: PodHere) -> None:
    """Catches an entrypoint that no shell of a pod runs, a hook that returns before the checkpoint is there
    or has the run taken for complete, a job that the operator would not try again (only FAILED is), an
    attempt that begins anew or is stopped by the pods of the one before it."""
    directory = Path(pod.here("/shared/runs/told"))
    first = pod.submit("cluster-1")
    deadline = time.monotonic() + SECONDS_UNTIL_HUNG
    while last_step(directory) < MIDDLE:
        assert pod.ask(first)["status"] in ("PENDING", "RUNNING"), pod.log(first)
        assert time.monotonic() < deadline, pod.log(first)
        time.sleep(0.05)
    _run_hook(pod, "cluster-1")
    last = steps(directory)[-1]["step"]
    assert checkpoints(directory) == [last]
    assert MIDDLE <= last < EVERY
    assert pod.status_at_end(first) == "FAILED", pod.log(first)
    assert "interrupted: stopped by the user" in pod.log(first)
    assert mlflow_run(directory).info.status == "KILLED"
    assert not (directory / "FINISHED").exists()
    second = pod.submit("cluster-2")
    while last_step(directory) == last:
        assert pod.ask(second)["status"] in ("PENDING", "RUNNING"), pod.log(second)
        time.sleep(0.05)
    _run_hook(pod, "cluster-1")  # a pod of the first cluster that goes late
    assert pod.status_at_end(second) == "SUCCEEDED", pod.log(second)
    assert [line["step"] for line in steps(directory)] == list(range(1, STEPS + 1))
    assert (directory / "FINISHED").exists()
    assert (directory / f"evaluation/step-{STEPS:08d}/held_out_facts/summary.json").is_file()
    _run_hook(pod, "cluster-2")  # the operator ends the cluster: there is nothing to wait for


def _run_hook(pod: PodHere, cluster: str) -> None:
    command = [pod.here(word) for word in pod.pod.main["lifecycle"]["preStop"]["exec"]["command"]]
    environment = {**pod.environment(cluster), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
