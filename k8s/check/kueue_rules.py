"""Kueue: a job that it never admits waits without a word."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from k8s.check.finding import Finding
from k8s.check.job_rules import QUEUE
from k8s.check.manifests import Manifests, Object, Rule
from k8s.check.quantity import amount

CLUSTER_SCOPED = ("ClusterQueue", "ResourceFlavor", "WorkloadPriorityClass")
_PRIORITY = "kueue.x-k8s.io/priority-class"


def cluster_scoped(manifests: Manifests) -> Iterator[Finding]:
    """Objects without a namespace, beside a job: `namespace:` would be stamped on them, and every job that
    goes would take them along."""
    for one in manifests.of_kind(*CLUSTER_SCOPED):
        if "namespace" in one["metadata"]:
            what, remedy = "the kind belongs to no namespace", "take namespace: out of its kustomization"
            yield manifests.finding("cluster-scoped", one, "metadata.namespace", what, remedy)
        if manifests.of_kind("RayJob"):
            what, remedy = "stands beside a job", "keep it in kueue-admin/"
            yield manifests.finding("cluster-scoped", one, "the object", what, remedy)


def queue(manifests: Manifests) -> Iterator[Finding]:
    """The label names a queue that is among the objects."""
    for job in manifests.of_kind("RayJob"):
        name = job["metadata"].get("labels", {}).get(QUEUE)
        if name is not None and manifests.named("LocalQueue", name) is None:
            what, remedy = f"there is no LocalQueue {name}", "name one, or add it"
            yield manifests.finding("queue", job, f"metadata.labels.{QUEUE}", what, remedy)


def admitted_by_kueue(jobs: Manifests, admin: Manifests) -> Iterator[Finding]:
    """Across two overlays: queue, priority, every resource, and enough of it."""
    for job in jobs.of_kind("RayJob"):
        labels = job["metadata"].get("labels", {})
        if QUEUE not in labels:
            continue
        local = jobs.named("LocalQueue", labels[QUEUE])
        found = admin.named("ClusterQueue", local["spec"]["clusterQueue"]) if local else None
        if local and found is None:
            what = f"{admin.overlay} has no ClusterQueue {local['spec']['clusterQueue']}"
            yield jobs.finding("queue", local, "spec.clusterQueue", what, "name one that is there")
        priority = labels.get(_PRIORITY)
        if priority is not None and admin.named("WorkloadPriorityClass", priority) is None:
            what = f"{admin.overlay} has no WorkloadPriorityClass {priority}"
            yield jobs.finding("queue", job, f"metadata.labels.{_PRIORITY}", what, "name one that is there")
        if found is not None:
            yield from _quota(jobs, job, found, admin)


def _quota(jobs: Manifests, job: Object, queue: Object, admin: Manifests) -> Iterator[Finding]:
    there: Counter[str] = Counter()
    for group in queue["spec"]["resourceGroups"]:
        for flavor in group["flavors"]:
            for one in flavor["resources"]:
                there[one["name"]] += amount(one["nominalQuota"])  # type: ignore[assignment]
            if admin.named("ResourceFlavor", flavor["name"]) is None:
                what = f"{admin.overlay} has no ResourceFlavor {flavor['name']}"
                yield jobs.finding("queue", job, f"metadata.labels.{QUEUE}", what, "add it there")
    for name, needed in sorted(_requests(jobs).items()):
        if needed > there[name]:
            what = f"the job asks for {needed:f} {name}, {queue['metadata']['name']} has {there[name]}"
            remedy = f"cover it in {admin.overlay}, or ask for less"
            yield jobs.finding("quota", job, "spec.rayClusterSpec", what, remedy)


def _requests(jobs: Manifests) -> dict[str, Decimal]:
    """Of all pods of the job: Kueue takes the larger of the start's containers and the sum of the others."""
    total: dict[str, Decimal] = {}
    for pod in jobs.pods:
        own: dict[str, Decimal] = {}
        for container in pod.spec["containers"]:
            for name, quantity in container.get("resources", {}).get("requests", {}).items():
                own[name] = own.get(name, Decimal(0)) + amount(quantity)
        for container in pod.spec.get("initContainers") or []:
            for name, quantity in container.get("resources", {}).get("requests", {}).items():
                own[name] = max(own.get(name, Decimal(0)), amount(quantity))
        for name, needed in own.items():
            total[name] = total.get(name, Decimal(0)) + needed * pod.count
    return total


KUEUE_RULES: tuple[Rule, ...] = (cluster_scoped, queue)
