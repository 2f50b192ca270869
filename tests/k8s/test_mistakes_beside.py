"""Typical mistakes in what stands beside the runs: MLflow, Kueue."""

from dataclasses import replace

import pytest

from k8s.check.check import check, check_job
from k8s.check.overlays import Rendered
from tests.k8s.changes import Change, append, changed, drop_kind, put, remove, rename

SERVER = "spec.template.spec.containers.0"
MLFLOW_MISTAKES: list[tuple[str, str, tuple[Change, ...]]] = [
    ("probe of a page", "mlflow-probe", (put("Deployment", f"{SERVER}.readinessProbe.httpGet.path", "/"),)),
    ("no probe", "mlflow-probe", (remove("Deployment", f"{SERVER}.livenessProbe"),)),
    (
        "database in the open",
        "mlflow-database",
        (
            put(
                "Job",
                f"{SERVER}.env.1",
                {
                    "name": "MLFLOW_BACKEND_STORE_URI",
                    "valueFrom": {"configMapKeyRef": {"name": "mlflow", "key": "uri"}},
                },
            ),
        ),
    ),
    ("no upgrade", "mlflow-upgrade", (drop_kind("Job"),)),
    (
        "upgrade of another version",
        "mlflow-upgrade",
        (put("Job", f"{SERVER}.image", "example/mlflow:0.0.9"),),
    ),
    ("artifacts in the pod", "mlflow-artifacts", (remove("ConfigMap", "data.MLFLOW_ARTIFACTS_DESTINATION"),)),
    (
        "artifacts not proxied",
        "mlflow-artifacts",
        (append("Deployment", f"{SERVER}.args", "--no-serve-artifacts"),),
    ),
    (
        "writable server",
        "mlflow-read-only",
        (remove("Deployment", f"{SERVER}.securityContext.readOnlyRootFilesystem"),),
    ),
    ("service without pods", "mlflow-service", (put("Service", "spec.selector", {"app": "mlflow"}),)),
    ("service to another port", "mlflow-service", (put("Service", "spec.ports.0.targetPort", 8080),)),
    ("open to everybody", "network-policy", (drop_kind("NetworkPolicy"),)),
    (
        "password in a ConfigMap",
        "secret",
        (put("ConfigMap", "data.URI", "postgresql://me:secret@db/mlflow"),),
    ),
    ("wrong unit", "quantity", (put("Deployment", f"{SERVER}.resources.limits.memory", "4GiB"),)),
    ("misspelt probe", "schema", (put("Deployment", f"{SERVER}.readinessProbe.periodSecond", 5),)),
    ("misspelt policy", "schema", (rename("NetworkPolicy", "spec.policyTypes", "policyType"),)),
]


@pytest.mark.parametrize(
    ("rule", "changes"), [m[1:] for m in MLFLOW_MISTAKES], ids=[m[0] for m in MLFLOW_MISTAKES]
)
def test_mistake_in_mlflow_is_caught(rendered: Rendered, rule: str, changes: tuple[Change, ...]) -> None:
    """The same for the server's manifests."""
    findings = check(changed(rendered.mlflow[0], *changes))
    assert {finding.rule for finding in findings} == {rule}, "\n".join(map(str, findings))


QUEUE = "spec.resourceGroups.0"
KUEUE_MISTAKES: list[tuple[str, str, Change]] = [
    ("resource that no queue covers", "quota", remove("ClusterQueue", f"{QUEUE}.flavors.0.resources.3")),
    ("too small a quota", "quota", put("ClusterQueue", f"{QUEUE}.flavors.0.resources.2.nominalQuota", "16")),
    ("queue of another name", "queue", put("ClusterQueue", "metadata.name", "other")),
    ("priority that is not there", "queue", drop_kind("WorkloadPriorityClass")),
    ("flavor that is not there", "queue", drop_kind("ResourceFlavor")),
]


@pytest.mark.parametrize(
    ("rule", "change"), [m[1:] for m in KUEUE_MISTAKES], ids=[m[0] for m in KUEUE_MISTAKES]
)
def test_job_that_kueue_would_never_admit_is_caught(rendered: Rendered, rule: str, change: Change) -> None:
    """Kueue itself only lets the job wait."""
    (manifests,) = [one for one in rendered.jobs if one.overlay.startswith("overlays/multi-node/4x8 +")]
    beside = replace(rendered, admin=changed(rendered.admin, change))
    assert {finding.rule for finding in check_job(manifests, beside)} == {rule}


def test_namespace_on_cluster_scoped_objects_is_caught(rendered: Rendered) -> None:
    """What `namespace:` in kueue-admin's kustomization would do."""
    wrong = changed(rendered.admin, put("ClusterQueue", "metadata.namespace", "hbt"))
    assert {finding.rule for finding in check(wrong)} == {"cluster-scoped"}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("claim", put("PersistentVolumeClaim", "spec.accessModes", ["ReadWriteOnce"])),
        ("schema", put("PersistentVolumeClaim", "spec.storageClass", "nfs")),
    ],
)
def test_mistake_in_the_volume_is_caught(rendered: Rendered, rule: str, change: Change) -> None:
    """A volume for one node, and a class that is silently the default one."""
    assert {finding.rule for finding in check(changed(rendered.volume, change))} == {rule}
