"""Manifests and run configuration held together."""

import posixpath
from collections.abc import Iterator
from pathlib import Path

from distributed_hbt.config.load import flatten
from distributed_hbt.coordinator.capacity import Node, check_capacity
from distributed_hbt.distributed.process_group import Ranks
from distributed_hbt.errors import ConfigError
from distributed_hbt.pipeline import check_world, due_steps
from k8s.check.finding import Finding
from k8s.check.manifests import Manifests, Object, Pod, Rule
from k8s.check.pod_rules import volume_at
from k8s.check.quantity import amount
from k8s.check.run import IMAGE, Run, run_of, variables


def run_and_pods(manifests: Manifests) -> Iterator[Finding]:
    """All that concerns a run and the cluster it is given; first of all that it loads."""
    for job in manifests.of_kind("RayJob"):
        head = next((pod for pod in manifests.pods if pod.is_head), None)
        if head is None:
            yield manifests.finding("run", job, "spec.rayClusterSpec", "there is no head", "add one")
            continue
        try:
            run = run_of(manifests, job, head)
        except ValueError as error:
            what, remedy = str(error), "correct the entrypoint, or the files that it names"
            yield manifests.finding("run", job, "spec.entrypoint", what, remedy)
            continue
        workers = [pod for pod in manifests.pods if pod.start is not None and not pod.is_head]
        yield from _size(manifests, job, run, workers)
        yield from _paths(manifests, job, run, [head, *workers])


def _size(manifests: Manifests, job: Object, run: Run, workers: list[Pod]) -> Iterator[Finding]:
    cluster = run.config.cluster
    if run.options.address != "auto":
        what, remedy = "the run would start a Ray of its own on the head", "add --address auto"
        yield manifests.finding("run", job, "spec.entrypoint", what, remedy)
    nodes = [_node(pod) for pod in workers for _ in range(pod.count)]
    gpus = sum(node.gpus for node in nodes)
    if run.command == "submit":
        taken = cluster.num_workers * cluster.gpus_per_worker
        named = f"cluster.num_workers x gpus_per_worker ({cluster.num_workers} x {cluster.gpus_per_worker})"
    else:
        each = cluster.evaluation_gpus_per_actor
        each = cluster.gpus_per_worker if each is None else each
        taken = round(cluster.evaluation_actors * each)
        named = (
            f"cluster.evaluation_actors x evaluation_gpus_per_actor ({cluster.evaluation_actors} x {each:g})"
        )
    where = "spec.rayClusterSpec.workerGroupSpecs"
    if taken != gpus:
        what = f"the workers have {gpus:g} GPUs, the run takes {named}"
        yield manifests.finding("world-size", job, where, what, "change replicas, GPUs, or the run")
    try:
        if run.command == "submit":
            check_capacity(cluster, nodes, evaluates=bool(due_steps(run.config)))
            check_world(run.config, Ranks(0, cluster.num_workers, 0))
        else:
            alone = {
                "evaluation_placement": "after",
                "num_workers": 1,
                "cpus_per_worker": 1,
                "gpus_per_worker": 0,
            }
            check_capacity(cluster.model_copy(update=alone), nodes, evaluates=True)
    except ConfigError as error:
        yield manifests.finding("room", job, where, f"{error.where}: {error.what}", error.remedy)


def _node(pod: Pod) -> Node:
    """As the operator tells Ray: of the limits, whole CPUs."""
    limits, start = pod.limits(), pod.start or {}
    try:
        cpus = float(start.get("num-cpus", -(-amount(limits.get("cpu", "0")) // 1)))
        devices = sum(float(amount(n)) for name, n in limits.items() if name.endswith("gpu"))
        return Node(cpus, float(start.get("num-gpus", devices)))
    except ValueError:
        return Node(0.0, 0.0)  # no quantity: another rule says so


def _paths(manifests: Manifests, job: Object, run: Run, pods: list[Pod]) -> Iterator[Finding]:
    """Every file that the run names is on the volume that all pods share, or in the image."""
    named = {key: value for key, value in flatten(run.config).items() if isinstance(value, str)}
    for i, source in enumerate(run.config.data.sources):
        named.update(
            {f"data.sources.{i}.{key}": v for key, v in source.model_dump().items() if isinstance(v, str)}
        )
    for i, benchmark in enumerate(run.config.evaluation.benchmarks):
        dump = benchmark.model_dump()
        named.update({f"evaluation.benchmarks.{i}.{key}": v for key, v in dump.items() if isinstance(v, str)})
    for checkpoint in getattr(run.options, "checkpoint", None) or []:
        named["--checkpoint"] = str(checkpoint)
    named.update({f"HF_HOME of {pod.path}": variables(pod).get("HF_HOME", "") for pod in pods})
    needed = {
        "output_dir": run.config.output_dir,
        "data.root": run.config.data.root or "the run file's folder",
    }
    absolute = {key: value for key, value in named.items() if Path(value).is_absolute()}
    for key, path in {**absolute, **needed}.items():
        in_image = posixpath.normpath(path).startswith(f"{IMAGE}/ds_configs/")
        if not in_image and not all(_is_shared(pod, path) for pod in pods):
            what = f"{key} ({path}) is not on the volume that all pods share"
            remedy = "name a folder below the claim's mountPath"
            yield manifests.finding("path", job, "spec.entrypoint", what, remedy)


def _is_shared(pod: Pod, path: str) -> bool:
    volume = volume_at(pod.spec, pod.main, posixpath.normpath(path)) if path.startswith("/") else None
    return volume is not None and "persistentVolumeClaim" in volume


RUN_RULES: tuple[Rule, ...] = (run_and_pods,)
