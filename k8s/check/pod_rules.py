"""What every pod here has to keep: its volumes, its shared memory, its resources."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from k8s.check.finding import Finding
from k8s.check.manifests import Manifests, Object, Pod, Rule
from k8s.check.quantity import amount


def shared_memory(manifests: Manifests) -> Iterator[Finding]:
    """NCCL, gloo and Ray's object store use /dev/shm. The operator's own would be as large as the memory
    limit, and count against it."""
    for pod in manifests.pods:
        if pod.start is None:
            continue
        path = f"{pod.path}.spec.volumes"
        volume = volume_at(pod.spec, pod.main, "/dev/shm")
        folder = (volume or {}).get("emptyDir")
        if folder is None or folder.get("medium") != "Memory" or "sizeLimit" not in folder:
            what = "nothing of its own is mounted at /dev/shm"
            remedy = "mount an emptyDir with medium: Memory and a sizeLimit there"
            yield manifests.finding("shm", pod.of, path, what, remedy)
            continue
        size, limit = _amount(folder["sizeLimit"]), _amount(pod.limits().get("memory", "0"))
        if size >= limit > 0:
            what = f"/dev/shm ({folder['sizeLimit']}) counts against the memory limit and fills it"
            yield manifests.finding("shm", pod.of, path, what, "make it smaller than the limit")
        store = _amount(pod.start.get("object-store-memory", str(limit)))
        if store > size:
            what = f"Ray's object store of {store} bytes does not fit into /dev/shm of {folder['sizeLimit']}"
            where = f"{pod.path.removesuffix('.template')}.rayStartParams.object-store-memory"
            yield manifests.finding("object-store", pod.of, where, what, "lower it, or raise sizeLimit")


def volume_at(spec: Object, container: Object, path: str) -> Object | None:
    """The volume that the container has mounted at the path or the nearest folder above it."""
    fitting = [
        mount
        for mount in container.get("volumeMounts", [])
        if f"{path}/".startswith(f"{mount['mountPath'].rstrip('/')}/")
    ]
    if not fitting:
        return None
    name = max(fitting, key=lambda mount: len(mount["mountPath"]))["name"]
    return next((one for one in spec.get("volumes", []) if one["name"] == name), None)


def volume_mounts(manifests: Manifests) -> Iterator[Finding]:
    """A mount names a volume of the pod, and a folder once."""
    for pod, path, container in _containers(manifests):
        there = {volume["name"] for volume in pod.spec.get("volumes", [])}
        taken: set[str] = set()
        for i, mount in enumerate(container.get("volumeMounts", [])):
            where = f"{path}.volumeMounts[{i}]"
            if mount["name"] not in there:
                what = f"the pod has no volume {mount['name']}"
                yield manifests.finding("volume-mount", pod.of, where, what, "name one, or add it to volumes")
            if mount["mountPath"] in taken:
                what = f"{mount['mountPath']} is mounted twice"
                yield manifests.finding("volume-mount", pod.of, where, what, "leave out one")
            taken.add(mount["mountPath"])


def references(manifests: Manifests) -> Iterator[Finding]:
    """ConfigMaps and service accounts that pods name are among the objects: a name without its hash, or of an
    object that was left out, keeps the pods from starting."""
    for pod in manifests.pods:
        for path, kind, name in _references(pod):
            if manifests.named(kind, name) is None:
                what = f"there is no {kind} {name}"
                remedy = "add it, or a nameReference for this field"
                yield manifests.finding("reference", pod.of, path, what, remedy)


def _references(pod: Pod) -> Iterator[tuple[str, str, str]]:
    spec, path = pod.spec, f"{pod.path}.spec"
    yield f"{path}.serviceAccountName", "ServiceAccount", spec.get("serviceAccountName", "default")
    for i, volume in enumerate(spec.get("volumes", [])):
        if "configMap" in volume:
            yield f"{path}.volumes[{i}]", "ConfigMap", volume["configMap"].get("name")
    for where, container in pod.containers():
        for i, source in enumerate(container.get("envFrom", [])):
            if "configMapRef" in source:
                yield f"{where}.envFrom[{i}]", "ConfigMap", source["configMapRef"]["name"]


def resources(manifests: Manifests) -> Iterator[Finding]:
    """Quantities are such, requests are within limits, and devices are not shared out twice."""
    for pod, path, container in _containers(manifests):
        given = container.get("resources", {})
        amounts: dict[str, dict[str, Decimal]] = {"requests": {}, "limits": {}}
        for kind, found in amounts.items():
            for name, quantity in given.get(kind, {}).items():
                try:
                    found[name] = amount(quantity)
                except ValueError as error:
                    where = f"{path}.resources.{kind}.{name}"
                    yield manifests.finding(
                        "quantity", pod.of, where, str(error), "write it as 4, 500m or 64Gi"
                    )
        requests, limits = amounts["requests"], amounts["limits"]
        if not given.get("requests", {}).get("cpu") or not given.get("limits", {}).get("memory"):
            what, remedy = "has no CPU request or no memory limit", "give it both"
            yield manifests.finding("resources", pod.of, f"{path}.resources", what, remedy)
        for name in sorted(requests.keys() | limits.keys()):
            request, limit = requests.get(name), limits.get(name)
            where = f"{path}.resources"
            if "/" in name and request != limit:
                what = f"{name}: the request ({request}) is not the limit ({limit})"
                yield manifests.finding("device-request", pod.of, where, what, "give both one value")
            elif request is not None and limit is not None and request > limit:
                what = f"{name}: the request is above the limit"
                yield manifests.finding("resources", pod.of, where, what, "lower it")


def one_worker_a_host(manifests: Manifests) -> Iterator[Finding]:
    """Two workers of a training on one host share its network, and go together when it goes."""
    for pod in manifests.pods:
        trains = pod.start is not None and "hbt submit" in pod.of["spec"].get("entrypoint", "")
        if pod.is_head or not trains:
            continue
        terms = pod.spec.get("affinity", {}).get("podAntiAffinity", {})
        terms = terms.get("requiredDuringSchedulingIgnoredDuringExecution", [])
        if not any(_keeps_apart(term, pod) for term in terms):
            what = "nothing keeps two workers from one host"
            remedy = "require podAntiAffinity to the workers' own label by kubernetes.io/hostname"
            yield manifests.finding("anti-affinity", pod.of, f"{pod.path}.spec.affinity", what, remedy)


def _keeps_apart(term: dict[str, Any], pod: Pod) -> bool:
    wanted = term.get("labelSelector", {}).get("matchLabels", {})
    is_own = bool(wanted) and wanted.items() <= pod.labels.items()
    return is_own and term.get("topologyKey") == "kubernetes.io/hostname"


def claims(manifests: Manifests) -> Iterator[Finding]:
    """All machines share the run's folder."""
    for claim in manifests.of_kind("PersistentVolumeClaim"):
        if "ReadWriteMany" not in claim["spec"].get("accessModes", []):
            what, remedy = "the pods are on several nodes", "write ReadWriteMany"
            yield manifests.finding("claim", claim, "spec.accessModes", what, remedy)


def claims_are_there(jobs: Manifests, volume: Manifests) -> Iterator[Finding]:
    """Across two overlays: the volume is made once, and apart, since it stays when a run goes."""
    for one in jobs.of_kind("PersistentVolumeClaim"):
        what = "would go with the run, and take all runs along"
        remedy = f"keep it in k8s/{volume.overlay}"
        yield jobs.finding("claim", one, "the object", what, remedy)
    for pod in jobs.pods:
        for i, one in enumerate(pod.spec.get("volumes", [])):
            name = one.get("persistentVolumeClaim", {}).get("claimName")
            if name is not None and volume.named("PersistentVolumeClaim", name) is None:
                what, path = f"k8s/{volume.overlay} has no claim {name}", f"{pod.path}.spec.volumes[{i}]"
                yield jobs.finding("claim", pod.of, path, what, "name the one that it has")


def _amount(quantity: str) -> Decimal:
    """0 where it is no quantity: `resources` and the schema say so."""
    try:
        return amount(quantity)
    except ValueError:
        return Decimal(0)


def _containers(manifests: Manifests) -> Iterator[tuple[Pod, str, Object]]:
    for pod in manifests.pods:
        for path, container in pod.containers():
            yield pod, path, container


POD_RULES: tuple[Rule, ...] = (
    *(shared_memory, volume_mounts, references, resources, one_worker_a_host, claims),
)
