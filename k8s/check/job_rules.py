"""What KubeRay's operator asks of a RayJob beyond its schema, and what a training of fixed size asks of both.

Sources: KubeRay 1.7, controllers/ray/utils/validation.go; issues 4285, 4921, 4984, 5211.
"""

import re
from collections.abc import Iterator

import yaml

from k8s.check.finding import Finding
from k8s.check.manifests import ROOT, Manifests, Object, Pod, Rule

MODES = ("K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode")
NAME_LENGTH = 47
QUEUE = "kueue.x-k8s.io/queue-name"


def _jobs(manifests: Manifests) -> Iterator[tuple[Object, Object]]:
    for job in manifests.of_kind("RayJob"):
        yield job, job["spec"]


def job_name(manifests: Manifests) -> Iterator[Finding]:
    """Longer names do not fit into those of what is made from the job."""
    for job, _ in _jobs(manifests):
        name = job["metadata"]["name"]
        if len(name) > NAME_LENGTH or not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name):
            what = f"{name} is no DNS-1035 label of at most {NAME_LENGTH} characters"
            yield manifests.finding("job-name", job, "metadata.name", what, "shorten it: a-z, 0-9 and -")


def submission_mode(manifests: Manifests) -> Iterator[Finding]:
    """The schema has no list of them. Only the head has what the entrypoint reads."""
    for job, spec in _jobs(manifests):
        mode, path = spec.get("submissionMode", MODES[0]), "spec.submissionMode"
        if mode not in MODES:
            what = f"{mode} is not one of {', '.join(MODES)}"
            yield manifests.finding("submission-mode", job, path, what, "write HTTPMode")
        elif mode != "HTTPMode" and "$" in spec.get("entrypoint", ""):
            what = f"in {mode} another shell than the head's reads files and variables of the entrypoint"
            yield manifests.finding("submission-mode", job, path, what, "write HTTPMode")
        if mode != "K8sJobMode":
            for field in {"submitterPodTemplate", "submitterConfig"} & spec.keys():
                what = f"there is no submitter pod in {mode}"
                yield manifests.finding("submission-mode", job, f"spec.{field}", what, "leave it out")


def deletion(manifests: Manifests) -> Iterator[Finding]:
    """How a job that has ended goes."""
    for job, spec in _jobs(manifests):
        shutdown = spec.get("shutdownAfterJobFinishes", False)
        if spec.get("ttlSecondsAfterFinished", 0) > 0 and not shutdown:
            what, remedy = "has no effect without shutdownAfterJobFinishes", "set that to true"
            yield manifests.finding("ttl-shutdown", job, "spec.ttlSecondsAfterFinished", what, remedy)
        if "deletionRules" in spec.get("deletionStrategy", {}) and shutdown:
            what = "does not go with shutdownAfterJobFinishes"
            path = "spec.deletionStrategy.deletionRules"
            yield manifests.finding("deletion-rules", job, path, what, "keep one of them")
        queue = job["metadata"].get("labels", {}).get(QUEUE)
        if (spec.get("suspend") or queue) and not shutdown:
            what = "a job that Kueue queues, or that is suspended, must give its pods back"
            remedy = "set it to true"
            yield manifests.finding("suspend-shutdown", job, "spec.shutdownAfterJobFinishes", what, remedy)


def cluster_selector(manifests: Manifests) -> Iterator[Finding]:
    """A job of a cluster that is there already."""
    for job, spec in _jobs(manifests):
        if not spec.get("clusterSelector"):
            continue
        for field in ("suspend", "backoffLimit"):
            if spec.get(field):
                what = f"does not go with spec.{field}"
                yield manifests.finding("cluster-selector", job, "spec.clusterSelector", what, "leave it out")


def attempts(manifests: Manifests) -> Iterator[Finding]:
    """A lost head is survived by another attempt; one that can not start ends."""
    for job, spec in _jobs(manifests):
        if spec.get("backoffLimit", 0) < 1:
            what, remedy = "no second attempt resumes the run", "set it to 1 or more"
            yield manifests.finding("attempts", job, "spec.backoffLimit", what, remedy)
        before = spec.get("preRunningDeadlineSeconds")
        if before is None:
            what, remedy = "a job whose pods never start waits for ever", "set it"
            yield manifests.finding("deadline", job, "spec.preRunningDeadlineSeconds", what, remedy)
        whole = spec.get("activeDeadlineSeconds")
        if whole is not None and whole <= (before or 0):
            what = f"{whole} s count from the image's pull on, and preRunningDeadlineSeconds is {before} s"
            yield manifests.finding("deadline", job, "spec.activeDeadlineSeconds", what, "raise it")


def fixed_size(manifests: Manifests) -> Iterator[Finding]:
    """Ranks are as many at the end as at the start."""
    for job, spec in _jobs(manifests):
        cluster = spec.get("rayClusterSpec", {})
        path = "spec.rayClusterSpec"
        if cluster.get("enableInTreeAutoscaling"):
            what, remedy = "the number of ranks is fixed", "set it to false"
            yield manifests.finding("fixed-size", job, f"{path}.enableInTreeAutoscaling", what, remedy)
        for i, group in enumerate(cluster.get("workerGroupSpecs") or []):
            sizes = [group.get(name) for name in ("minReplicas", "replicas", "maxReplicas")]
            if None in sizes or len(set(sizes)) > 1:
                what = f"minReplicas, replicas and maxReplicas are {', '.join(map(str, sizes))}"
                where = f"{path}.workerGroupSpecs[{i}]"
                yield manifests.finding("fixed-size", job, where, what, "give all three one value")


def runtime_env(manifests: Manifests) -> Iterator[Finding]:
    """A text of YAML within the YAML."""
    for job, spec in _jobs(manifests):
        try:
            content = yaml.safe_load(spec.get("runtimeEnvYAML") or "{}")
            wrong = None if isinstance(content, dict) else "holds no mapping"
        except yaml.YAMLError as error:
            wrong = f"is not YAML: {error}"
        if wrong:
            yield manifests.finding("runtime-env", job, "spec.runtimeEnvYAML", wrong, "correct it")


def ray_version_and_token(manifests: Manifests) -> Iterator[Finding]:
    """The image's Ray is that of constraints.txt; nobody submits without the token."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.search(r"^ray==(\S+)$", pins, flags=re.M)
    assert pinned is not None, "constraints.txt pins no ray"
    for job, spec in _jobs(manifests):
        cluster = spec.get("rayClusterSpec", {})
        version, path = cluster.get("rayVersion"), "spec.rayClusterSpec"
        if version != pinned[1]:
            what = f"{version} is not the image's, {pinned[1]}"
            yield manifests.finding("ray-version", job, f"{path}.rayVersion", what, f"write {pinned[1]}")
        options = cluster.get("authOptions", {})
        if options.get("mode") != "token" or not options.get("secretName"):
            what = "anybody in the cluster may run code on the head"
            remedy = "set mode: token, and secretName"
            yield manifests.finding("token", job, f"{path}.authOptions", what, remedy)


def head_without_gpus(manifests: Manifests) -> Iterator[Finding]:
    """The head has the coordinator alone, and no place on an expensive node."""
    for pod in _heads(manifests):
        start = pod.start or {}
        path = pod.path.removesuffix(".template")
        if start.get("num-gpus") != "0":
            what, remedy = "ranks could land on the head", 'set it to "0"'
            yield manifests.finding("head-gpus", pod.of, f"{path}.rayStartParams.num-gpus", what, remedy)
        variables = {one["name"]: one.get("value") for one in pod.main.get("env", [])}
        if variables.get("NVIDIA_VISIBLE_DEVICES") != "void":
            what = "on a GPU node the head would see GPUs that it was not given"
            remedy = "set NVIDIA_VISIBLE_DEVICES to void"
            yield manifests.finding("head-gpus", pod.of, f"{pod.path}.spec.containers[0].env", what, remedy)
        if any(name.endswith("gpu") for name in pod.limits()):
            where = f"{pod.path}.spec.containers[0].resources"
            yield manifests.finding("head-gpus", pod.of, where, "the head asks for a GPU", "leave it out")


def _heads(manifests: Manifests) -> Iterator[Pod]:
    return (pod for pod in manifests.pods if pod.is_head)


JOB_RULES: tuple[Rule, ...] = (
    *(job_name, submission_mode, deletion, cluster_selector, attempts, fixed_size, runtime_env),
    *(ray_version_and_token, head_without_gpus),
)
