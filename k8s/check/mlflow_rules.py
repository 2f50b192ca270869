"""MLflow's server: reachable by the runs under the name they use, and by nobody else."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from k8s.check.finding import Finding
from k8s.check.manifests import Manifests, Object, Pod, Rule
from k8s.check.run import run_of


def mlflow_server(manifests: Manifests) -> Iterator[Finding]:
    """What a server before PostgreSQL and a bucket needs."""
    for pod in servers(manifests):
        path = f"{pod.path}.spec.containers[0]"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = pod.main.get(probe, {}).get("httpGet", {}).get("path")
            if asked != "/health":
                what = (
                    f"asks {asked}, which answers to the server's own name alone" if asked else "is not there"
                )
                yield manifests.finding("mlflow-probe", pod.of, f"{path}.{probe}", what, "ask /health")
        settings = settings_of(manifests, pod)
        if not settings.get("MLFLOW_ARTIFACTS_DESTINATION", "").startswith("s3://"):
            what, remedy = "MLFLOW_ARTIFACTS_DESTINATION names no bucket", "name one: s3://..."
            yield manifests.finding("mlflow-artifacts", pod.of, path, what, remedy)
        if "--no-serve-artifacts" in pod.main.get("args", []):
            what, remedy = "runs would need the bucket's keys", "leave out --no-serve-artifacts"
            yield manifests.finding("mlflow-artifacts", pod.of, f"{path}.args", what, remedy)
        if pod.main.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
            what, remedy = "may change its own files", "set readOnlyRootFilesystem: true"
            yield manifests.finding("mlflow-read-only", pod.of, f"{path}.securityContext", what, remedy)
        yield from _upgrade(manifests, pod)


def _upgrade(manifests: Manifests, server: Pod) -> Iterator[Finding]:
    jobs = [pod for pod in manifests.pods if pod.main.get("args", [])[:2] == ["db", "upgrade"]]
    if not jobs:
        what, remedy = "nothing brings the database up to date", "add a Job of mlflow db upgrade"
        yield manifests.finding("mlflow-upgrade", server.of, "the objects", what, remedy)
    for pod in (server, *jobs):
        given = pod.main.get("env", [])
        uri: Object = next((v for v in given if v["name"] == "MLFLOW_BACKEND_STORE_URI"), {})
        if "secretKeyRef" not in uri.get("valueFrom", {}):
            path = f"{pod.path}.spec.containers[0].env"
            what, remedy = "MLFLOW_BACKEND_STORE_URI comes from no secret", "use valueFrom.secretKeyRef"
            yield manifests.finding("mlflow-database", pod.of, path, what, remedy)
        if pod.main.get("image") != server.main.get("image"):
            path = f"{pod.path}.spec.containers[0].image"
            what, remedy = "is not the server's: it makes other tables", "name the server's image"
            yield manifests.finding("mlflow-upgrade", pod.of, path, what, remedy)


def mlflow_service(manifests: Manifests) -> Iterator[Finding]:
    """One port from the clients to the server, under allowed names; a policy before it."""
    for pod in servers(manifests):
        services = [one for one in manifests.of_kind("Service") if _selects(one["spec"]["selector"], pod)]
        if not services:
            what, remedy = "no Service leads to it", "give a Service its labels as selector"
            yield manifests.finding("mlflow-service", pod.of, f"{pod.path}.metadata.labels", what, remedy)
        ports = {port.get("name"): port["containerPort"] for port in pod.main.get("ports", [])}
        for service in services:
            for i, port in enumerate(service["spec"]["ports"]):
                target = port.get("targetPort", port["port"])
                if target not in ports and target not in ports.values():
                    what = f"the container has no port {target}"
                    path = f"spec.ports[{i}].targetPort"
                    yield manifests.finding("mlflow-service", service, path, what, "name one that it has")
        covered = [
            one for one in _policies(manifests, pod) if "Ingress" in one["spec"].get("policyTypes", [])
        ]
        if not covered:
            what, remedy = "everybody may write to it: it asks for no password", "add a NetworkPolicy"
            yield manifests.finding("network-policy", pod.of, f"{pod.path}.metadata.labels", what, remedy)


def runs_reach_mlflow(jobs: Manifests, mlflow: Manifests) -> Iterator[Finding]:
    """Across two overlays: the run's `tracking.uri` is a Service there, is an allowed host of its server, and
    the policy lets the run's pods in."""
    for job in jobs.of_kind("RayJob"):
        try:
            uri = run_of(jobs, job, next(pod for pod in jobs.pods if pod.is_head)).config.tracking.uri or ""
        except (ValueError, StopIteration):
            continue  # the rules of the run say so
        parts = urlsplit(uri)
        service = mlflow.named("Service", (parts.hostname or "").partition(".")[0])
        ports = [port["port"] for port in service["spec"]["ports"]] if service else []
        if service is None or parts.scheme != "http" or (parts.port or 80) not in ports:
            there = ", ".join(_address(one) for one in mlflow.of_kind("Service"))
            what = f"tracking.uri is {uri}, {mlflow.overlay} has {there}"
            yield jobs.finding("mlflow-address", job, "spec.entrypoint", what, "change base/cluster")
            continue
        for server in servers(mlflow):
            allowed = settings_of(mlflow, server).get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",")
            if parts.netloc not in allowed:
                what = f"{parts.netloc} is not among MLFLOW_SERVER_ALLOWED_HOSTS of {mlflow.overlay}"
                yield jobs.finding(
                    "mlflow-hosts", job, "spec.entrypoint", what, "add it there, with the port"
                )
            yield from _admitted(jobs, mlflow, server)


def _address(service: Object) -> str:
    return f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"


def _admitted(jobs: Manifests, mlflow: Manifests, server: Pod) -> Iterator[Finding]:
    sources = [
        peer.get("podSelector", {}).get("matchLabels", {})
        for policy in _policies(mlflow, server)
        for rule in policy["spec"].get("ingress", [])
        for peer in rule.get("from", [])
    ]
    for pod in jobs.pods:
        if sources and not any(labels.items() <= pod.labels.items() for labels in sources):
            what = f"the NetworkPolicy of {mlflow.overlay} does not let it reach MLflow"
            remedy = "give the pod a label that it admits"
            yield jobs.finding("mlflow-policy", pod.of, f"{pod.path}.metadata.labels", what, remedy)


def servers(manifests: Manifests) -> list[Pod]:
    """Pods that run `mlflow server`."""
    return [pod for pod in manifests.pods if pod.main.get("args", [])[:1] == ["server"]]


def settings_of(manifests: Manifests, pod: Pod) -> dict[str, str]:
    """Variables of the first container that ConfigMaps bring, or that stand there."""
    found = {}
    for source in pod.main.get("envFrom", []):
        one = manifests.named("ConfigMap", source.get("configMapRef", {}).get("name"))
        found.update((one or {}).get("data", {}))
    return {**found, **{v["name"]: v["value"] for v in pod.main.get("env", []) if "value" in v}}


def _policies(manifests: Manifests, pod: Pod) -> list[Object]:
    policies = manifests.of_kind("NetworkPolicy")
    return [one for one in policies if _selects(one["spec"]["podSelector"].get("matchLabels", {}), pod)]


def _selects(labels: dict[str, str], pod: Pod) -> bool:
    return labels.items() <= pod.labels.items()


MLFLOW_RULES: tuple[Rule, ...] = (mlflow_server, mlflow_service)
