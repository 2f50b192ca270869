"""Typical mistakes in manifests, each caught by the rule that is for it, and by no other."""

import pytest

from k8s.check.check import check_job
from k8s.check.overlays import Rendered
from tests.k8s.changes import (
    CLUSTER,
    GROUP,
    HEAD_POD,
    JOB,
    POD,
    WORKER,
    Change,
    add_object,
    append,
    argument,
    changed,
    drop_kind,
    put,
    remove,
    rename,
)

SIZES = "minReplicas", "replicas", "maxReplicas"
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"auth_token": "x"}}
FLAVOR = {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "f"}}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "hbt-shared"},
    "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}},
}
PRIVILEGED = {"allowPrivilegeEscalation": True, "capabilities": {"drop": ["ALL"]}}
VOLUMES = f"{POD}.volumes"

MISTAKES: list[tuple[str, str, tuple[Change, ...]]] = [
    # what schemas see
    ("misspelt field of the job", "schema", (rename(JOB, "spec.backoffLimit", "backOffLimit"),)),
    ("misspelt field of a pod", "schema", (rename(JOB, f"{WORKER}.volumeMounts", "volumeMount"),)),
    ("number for a start parameter", "schema", (put(JOB, f"{GROUP}.rayStartParams.num-cpus", 72),)),
    ("text for a number", "schema", (put(JOB, f"{POD}.terminationGracePeriodSeconds", "1200"),)),
    ("wrong unit", "schema", (put(JOB, f"{WORKER}.resources.requests.memory", "64GiB"),)),
    ("number as a label", "schema", (put(JOB, f"{GROUP}.template.metadata.labels.step", 1),)),
    ("version that is gone", "schema", (put(JOB, "apiVersion", "ray.io/v2"),)),
    # what the operator asks for
    ("name of 60 letters", "job-name", (put(JOB, "metadata.name", "x" * 60),)),
    ("name that begins with a digit", "job-name", (put(JOB, "metadata.name", "8b-full"),)),
    ("bogus submissionMode", "submission-mode", (put(JOB, "spec.submissionMode", "HttpMode"),)),
    ("entrypoint read by the submitter", "submission-mode", (put(JOB, "spec.submissionMode", "K8sJobMode"),)),
    (
        "submitter in HTTPMode",
        "submission-mode",
        (put(JOB, "spec.submitterConfig", {"backoffLimit": 3}),),
    ),
    ("ttl without shutdown", "ttl-shutdown", (put(JOB, "spec.shutdownAfterJobFinishes", False),)),
    (
        "deletion rules and shutdown",
        "deletion-rules",
        (
            put(
                JOB,
                "spec.deletionStrategy",
                {"deletionRules": [{"policy": "DeleteSelf", "condition": {"jobStatus": "SUCCEEDED"}}]},
            ),
        ),
    ),
    (
        "suspended without shutdown",
        "suspend-shutdown",
        (
            put(JOB, "spec.suspend", True),
            remove(JOB, "spec.shutdownAfterJobFinishes"),
            remove(JOB, "spec.ttlSecondsAfterFinished"),
        ),
    ),
    (
        "cluster of one's own with attempts",
        "cluster-selector",
        (put(JOB, "spec.clusterSelector", {"ray.io/cluster": "mine"}),),
    ),
    ("no second attempt", "attempts", (remove(JOB, "spec.backoffLimit"),)),
    ("no deadline for the start", "deadline", (remove(JOB, "spec.preRunningDeadlineSeconds"),)),
    ("deadline within the start", "deadline", (put(JOB, "spec.activeDeadlineSeconds", 600),)),
    ("min above max", "fixed-size", (put(JOB, f"{GROUP}.minReplicas", 9),)),
    ("autoscaling", "fixed-size", (put(JOB, f"{CLUSTER}.enableInTreeAutoscaling", True),)),
    ("runtimeEnvYAML that is a list", "runtime-env", (put(JOB, "spec.runtimeEnvYAML", "- env_vars"),)),
    ("another Ray than the image's", "ray-version", (put(JOB, f"{CLUSTER}.rayVersion", "2.52.0"),)),
    ("no token", "token", (remove(JOB, f"{CLUSTER}.authOptions"),)),
    (
        "head with GPUs",
        "head-gpus",
        (remove(JOB, f"{CLUSTER}.headGroupSpec.rayStartParams.num-gpus"),),
    ),
    ("head that sees GPUs", "head-gpus", (put(JOB, f"{HEAD_POD}.containers.0.env.0.value", "all"),)),
    # pods
    ("no /dev/shm", "shm", (remove(JOB, f"{WORKER}.volumeMounts.3"),)),
    ("/dev/shm on a disk", "shm", (put(JOB, f"{VOLUMES}.3.emptyDir", {"sizeLimit": "64Gi"}),)),
    ("/dev/shm without a limit", "shm", (put(JOB, f"{VOLUMES}.3.emptyDir", {"medium": "Memory"}),)),
    ("/dev/shm as large as the memory", "shm", (put(JOB, f"{VOLUMES}.3.emptyDir.sizeLimit", "640Gi"),)),
    (
        "object store above /dev/shm",
        "object-store",
        (put(JOB, f"{VOLUMES}.3.emptyDir.sizeLimit", "2Gi"),),
    ),
    ("dangling mount", "volume-mount", (put(JOB, f"{WORKER}.volumeMounts.4.name", "temp"),)),
    ("ConfigMap without its hash", "reference", (put(JOB, f"{VOLUMES}.1.configMap.name", "runs"),)),
    ("account that is not there", "reference", (drop_kind("ServiceAccount"),)),
    (
        "claim that is not there",
        "claim",
        (put(JOB, f"{VOLUMES}.2.persistentVolumeClaim.claimName", "shared"),),
    ),
    ("claim that goes with the run", "claim", (add_object(CLAIM),)),
    (
        "GPU request above the limit",
        "device-request",
        (put(JOB, f"{WORKER}.resources.requests.nvidia\\.com/gpu", "9"),),
    ),
    ("GPU limit alone", "device-request", (remove(JOB, f"{WORKER}.resources.requests.nvidia\\.com/gpu"),)),
    ("CPU request above the limit", "resources", (put(JOB, f"{WORKER}.resources.requests.cpu", "80"),)),
    ("no memory limit", "resources", (remove(JOB, f"{WORKER}.resources.limits.memory"),)),
    ("workers on one host", "anti-affinity", (remove(JOB, f"{POD}.affinity"),)),
    (
        "workers kept from other pods' hosts",
        "anti-affinity",
        (remove(JOB, f"{GROUP}.template.metadata.labels.app\\.kubernetes\\.io/component"),),
    ),
    # security
    ("unpinned image", "image", (put(JOB, f"{WORKER}.image", "ghcr.io/example/distributed-hbt"),)),
    ("latest image", "image", (put(JOB, f"{WORKER}.image", "localhost:5000/hbt:latest"),)),
    ("root", "non-root", (put(JOB, f"{POD}.securityContext.runAsUser", 0),)),
    ("no seccomp", "seccomp", (remove(JOB, f"{POD}.securityContext.seccompProfile"),)),
    ("new privileges", "privileges", (put(JOB, f"{WORKER}.securityContext", PRIVILEGED),)),
    ("kept capabilities", "capabilities", (remove(JOB, f"{WORKER}.securityContext.capabilities.drop"),)),
    (
        "IPC_LOCK without RDMA",
        "capabilities",
        (put(JOB, f"{WORKER}.securityContext.capabilities.add", ["IPC_LOCK"]),),
    ),
    ("network of the host", "host", (put(JOB, f"{POD}.hostNetwork", True),)),
    ("account's token", "service-account-token", (remove(JOB, f"{POD}.automountServiceAccountToken"),)),
    (
        "token in the open",
        "secret",
        (append(JOB, f"{WORKER}.env", {"name": "RAY_AUTH_TOKEN", "value": "abc"}),),
    ),
    ("secret among the manifests", "secret", (add_object(SECRET),)),
    ("flavor beside the job", "cluster-scoped", (add_object(FLAVOR),)),
    ("queue that is not there", "queue", (put(JOB, "metadata.labels.kueue\\.x-k8s\\.io/queue-name", "q"),)),
    # manifest and run
    ("workers that no rank uses", "world-size", tuple(put(JOB, f"{GROUP}.{name}", 3) for name in SIZES)),
    ("misspelt override", "run", (argument("run", "cluster.num_worker=16"),)),
    ("run file that is not there", "run", (put(JOB, "spec.entrypoint", "hbt submit x.yaml --address auto"),)),
    ("ranks beyond the CPUs", "room", (argument("run", "cluster.cpus_per_worker=16"),)),
    (
        "evaluation beside, without GPUs for it",
        "room",
        (argument("run", "cluster.evaluation_placement=beside"),),
    ),
    ("batch that ranks can not share", "room", (argument("run", "train.global_batch_size=2050"),)),
    ("runs on the pod's own disk", "path", (argument("cluster", "output_dir=/tmp/runs"),)),
    ("runs below the working directory", "path", (argument("cluster", "output_dir=runs"),)),
    ("data elsewhere", "path", (argument("cluster", "data.root=/data"),)),
    ("models on each pod's own disk", "path", (put(JOB, f"{WORKER}.env.1.value", "/tmp/huggingface"),)),
    ("stores elsewhere", "path", (argument("run", "data.store_dir=/stores"),)),
    ("other MLflow address", "mlflow-address", (argument("cluster", "tracking.uri=http://tracking:5000"),)),
    ("other MLflow port", "mlflow-address", (argument("cluster", "tracking.uri=http://mlflow:8080"),)),
    (
        "MLflow host that is not allowed",
        "mlflow-hosts",
        (argument("cluster", "tracking.uri=http://mlflow.other.svc:5000"),),
    ),
    (
        "pod that MLflow's policy keeps out",
        "mlflow-policy",
        (remove(JOB, f"{GROUP}.template.metadata.labels.app\\.kubernetes\\.io/part-of"),),
    ),
    # the end
    ("no hook before SIGTERM", "pre-stop", (remove(JOB, f"{WORKER}.lifecycle"),)),
    (
        "hook for another run",
        "pre-stop",
        (
            put(
                JOB,
                f"{WORKER}.lifecycle.preStop.exec.command.2",
                "exec hbt stop $(cat /etc/hbt/cluster) cluster.name=$RAY_CLUSTER_NAME",
            ),
        ),
    ),
    ("short grace period", "grace", (put(JOB, f"{POD}.terminationGracePeriodSeconds", 30),)),
    ("grace of the run above the pod's", "grace", (argument("cluster", "cluster.grace_seconds=3600"),)),
    ("no wait of ray job stop", "grace", (remove(JOB, "spec.runtimeEnvYAML"),)),
]


@pytest.mark.parametrize(("rule", "changes"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_mistake_is_caught_by_its_rule(rendered: Rendered, rule: str, changes: tuple[Change, ...]) -> None:
    """Catches a rule that was lost, that looks elsewhere, or that answers for everything."""
    (manifests,) = [one for one in rendered.jobs if one.overlay == "overlays/multi-node/2x8"]
    findings = check_job(changed(manifests, *changes), rendered)
    assert {finding.rule for finding in findings} == {rule}, "\n".join(map(str, findings))
    for finding in findings:
        assert str(finding).startswith("overlays/multi-node/2x8: ")
        assert len(str(finding).splitlines()) == 1


def test_hook_of_an_evaluation_is_caught(rendered: Rendered) -> None:
    """It would stop the training whose checkpoint is evaluated."""
    jobs = {one.overlay: one for one in rendered.jobs}
    (trained,) = jobs["overlays/single-node"].of_kind("RayJob")
    hook = trained["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0][
        "lifecycle"
    ]
    wrong = changed(jobs["overlays/evaluate"], put(JOB, f"{WORKER}.lifecycle", hook))
    assert {finding.rule for finding in check_job(wrong, rendered)} == {"pre-stop"}
