"""The PodSecurity level `restricted`, images that stay what they are, and no secret in the open."""

import re
from collections.abc import Iterator

from k8s.check.finding import Finding
from k8s.check.manifests import Manifests, Object, Rule

_HOST = ("hostNetwork", "hostPID", "hostIPC")
_SECRET_NAME = re.compile(r"TOKEN|PASSWORD|SECRET|ACCESS_KEY|BACKEND_STORE_URI")
_SECRET_VALUE = re.compile(r"://[^/\s:@]+:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY")


def images(manifests: Manifests) -> Iterator[Finding]:
    """The same image tomorrow, and on every node."""
    for pod in manifests.pods:
        for path, container in pod.containers():
            image = container.get("image", "")
            tag = image.rpartition("/")[2].partition(":")[2]
            if (not tag and "@sha256:" not in image) or tag == "latest":
                what = f"{image or 'no image'} may be another one tomorrow"
                remedy = "name a version as its tag, or a digest"
                yield manifests.finding("image", pod.of, f"{path}.image", what, remedy)


def restricted(manifests: Manifests) -> Iterator[Finding]:
    """Not root, no new rights, no capabilities, no host."""
    for pod in manifests.pods:
        own, path = pod.spec.get("securityContext", {}), f"{pod.path}.spec"
        if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0:
            remedy = "set runAsNonRoot: true, and a user"
            yield manifests.finding("non-root", pod.of, f"{path}.securityContext", "may run as root", remedy)
        if own.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            what, remedy = "may make any system call", "set seccompProfile: {type: RuntimeDefault}"
            yield manifests.finding("seccomp", pod.of, f"{path}.securityContext", what, remedy)
        for field in _HOST:
            if pod.spec.get(field):
                what = "shares a namespace with the host"
                yield manifests.finding("host", pod.of, f"{path}.{field}", what, "leave it out")
        for i, volume in enumerate(pod.spec.get("volumes", [])):
            if "hostPath" in volume:
                what = "reaches into the host's files"
                yield manifests.finding("host", pod.of, f"{path}.volumes[{i}]", what, "use a claim")
        if pod.spec.get("automountServiceAccountToken") is not False:
            where, remedy = f"{path}.automountServiceAccountToken", "set it to false"
            what = "the pod could talk to Kubernetes with the account's token"
            yield manifests.finding("service-account-token", pod.of, where, what, remedy)
        for where, container in pod.containers():
            yield from _container(manifests, pod.of, where, container)


def _container(manifests: Manifests, of: Object, path: str, container: Object) -> Iterator[Finding]:
    context, where = container.get("securityContext", {}), f"{path}.securityContext"
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        what, remedy = "may gain rights", "set allowPrivilegeEscalation: false"
        yield manifests.finding("privileges", of, where, what, remedy)
    if context.get("runAsUser") == 0 or context.get("runAsNonRoot") is False:
        yield manifests.finding("non-root", of, where, "runs as root", "leave the user to the pod")
    capabilities = context.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"]:
        remedy = "set capabilities: {drop: [ALL]}"
        yield manifests.finding("capabilities", of, where, "keeps capabilities", remedy)
    added = set(capabilities.get("add", []))
    has_rdma = any(
        "rdma" in name or name.endswith("/efa") for name in container.get("resources", {}).get("limits", {})
    )
    if added - {"IPC_LOCK"} or (added and not has_rdma):
        what = f"adds {', '.join(sorted(added))}"
        remedy = "leave it out: IPC_LOCK alone, and for RDMA devices alone (components/rdma)"
        yield manifests.finding("capabilities", of, where, what, remedy)


def secrets(manifests: Manifests) -> Iterator[Finding]:
    """Secrets are named here, and made elsewhere."""
    for secret in manifests.of_kind("Secret"):
        remedy = "make it with kubectl create secret, and name it"
        yield manifests.finding("secret", secret, "the object", "a secret in the manifests", remedy)
    for pod in manifests.pods:
        for path, container in pod.containers():
            for i, variable in enumerate(container.get("env", [])):
                value = variable.get("value")
                if value and (_SECRET_NAME.search(variable["name"]) or _SECRET_VALUE.search(value)):
                    what = f"{variable['name']} stands in the open"
                    where = f"{path}.env[{i}]"
                    yield manifests.finding("secret", pod.of, where, what, "use valueFrom.secretKeyRef")
    for one in manifests.of_kind("ConfigMap"):
        for key, text in one.get("data", {}).items():
            if _SECRET_VALUE.search(text) or _SECRET_NAME.search(key):
                what, remedy = "a password stands in the open", "put it into a Secret"
                yield manifests.finding("secret", one, f"data.{key}", what, remedy)


SECURITY_RULES: tuple[Rule, ...] = (images, restricted, secrets)
