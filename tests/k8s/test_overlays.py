"""Everything in k8s/ renders, and nothing is wrong with it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from k8s.check import __main__ as program
from k8s.check.check import check, check_job
from k8s.check.manifests import ray_pods
from k8s.check.overlays import COMBINATIONS, COMPONENTS, JOBS, K8S, MLFLOW, Rendered
from k8s.check.run import run_of
from tests.k8s.changes import changed, put
from tests.programs import ROOT

ALL_JOBS = (*JOBS, *(f"{overlay} + {', '.join(components)}" for overlay, components in COMBINATIONS))


@pytest.mark.parametrize("overlay", ALL_JOBS)
def test_overlay_of_a_run_is_clean(rendered: Rendered, overlay: str) -> None:
    """Catches an overlay or a combination that no cluster would take, or that would not run what it says."""
    (manifests,) = [one for one in rendered.jobs if one.overlay == overlay]
    assert len(manifests.of_kind("RayJob")) == 1
    assert [str(finding) for finding in check_job(manifests, rendered)] == []


@pytest.mark.parametrize("overlay", [*MLFLOW, "kueue-admin", "volume"])
def test_overlay_beside_the_runs_is_clean(rendered: Rendered, overlay: str) -> None:
    """Catches a server or a queue that no cluster would take."""
    (manifests,) = [one for one in rendered.beside if one.overlay == overlay]
    assert manifests.objects
    assert [str(finding) for finding in check(manifests)] == []


def test_every_component_is_rendered_with_an_overlay() -> None:
    """Catches a component that nobody looks at."""
    assert {name for _, names in COMBINATIONS for name in names} == set(COMPONENTS)
    assert {folder.name for folder in (ROOT / "k8s/components").iterdir()} == set(COMPONENTS)


@pytest.mark.parametrize(
    ("overlay", "name", "ranks", "zero", "lora"),
    [
        ("overlays/smoke", "smoke", (2, 0), "zero2.json", False),
        ("overlays/single-node", "qwen3_8b_lora", (8, 8), "zero1.json", True),
        ("overlays/multi-node/2x8", "qwen3_8b_full_2x8", (16, 16), "zero3_hpz.json", False),
        ("overlays/multi-node/4x8", "qwen3_8b_full_4x8", (32, 32), "zero3_hpz.json", False),
    ],
)
def test_overlay_runs_what_its_name_says(
    rendered: Rendered, overlay: str, name: str, ranks: tuple[int, int], zero: str, lora: bool
) -> None:
    """Catches arguments that do not reach the run: it would train on its file's own ranks and folders."""
    (manifests,) = [one for one in rendered.jobs if one.overlay == overlay]
    (job,) = manifests.of_kind("RayJob")
    head, *workers = ray_pods(job)
    run = run_of(manifests, job, head)
    config, cluster = run.config, run.config.cluster
    assert (run.command, config.name) == ("submit", name)
    assert ranks == (cluster.num_workers, cluster.num_workers * cluster.gpus_per_worker)
    gpus = sum(pod.count * int(pod.limits().get("nvidia.com/gpu", 0)) for pod in workers)
    assert gpus == ranks[1]
    assert Path(config.train.deepspeed or "zero2.json").name == zero
    assert (config.model.lora is not None) == lora
    assert (config.output_dir, config.data.root) == ("/shared/runs", "/shared/data")
    assert config.tracking.uri == "http://mlflow:5000"
    assert (cluster.grace_seconds, cluster.name) == (600, "ray_cluster_name")


def test_evaluation_runs_on_many_small_workers(rendered: Rendered) -> None:
    """Catches an evaluation that trains, or that takes one worker of many."""
    (manifests,) = [one for one in rendered.jobs if one.overlay == "overlays/evaluate"]
    (job,) = manifests.of_kind("RayJob")
    head, workers = ray_pods(job)
    run = run_of(manifests, job, head)
    assert (run.command, run.options.address) == ("evaluate", "auto")
    assert [path.name for path in run.options.checkpoint] == ["step-00010000"]
    assert run.config.cluster.evaluation_actors == workers.count == 16
    assert workers.limits()["nvidia.com/gpu"] == "1"


def test_changed_run_file_reaches_the_pods(rendered: Rendered) -> None:
    """Catches a RayJob that names a ConfigMap without its hash: a changed run would not arrive."""
    names = {
        volume["configMap"]["name"]
        for manifests in rendered.jobs
        for pod in manifests.pods
        for volume in pod.spec["volumes"]
        if "configMap" in volume
    }
    assert len(names) == 1 + len(JOBS)  # the run files, and the arguments of each overlay
    assert all(len(name.rpartition("-")[2]) == 10 for name in names)


def test_program_says_what_it_did(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a check that ends with 0 because it looked at nothing, or in spite of what it found."""
    few = replace(rendered, jobs=rendered.jobs[:1])
    monkeypatch.setattr(program, "render_all", lambda: few)
    assert program.main() == 0
    out, err = capsys.readouterr()
    count = 1 + len(rendered.beside)
    assert (out, err) == ("", f"{count} overlays and combinations rendered; nothing is wrong\n")
    wrong = replace(few, admin=changed(rendered.admin, put("ClusterQueue", "metadata.namespace", "hbt")))
    monkeypatch.setattr(program, "render_all", lambda: wrong)
    assert program.main() == 1
    assert capsys.readouterr().out == (
        "kueue-admin: ClusterQueue/hbt: metadata.namespace: the kind belongs to no namespace; "
        "take namespace: out of its kustomization [cluster-scoped]\n"
    )


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [("PATH", "/nowhere", "kubectl: is not there"), ("HBT_SCHEMAS", "/nowhere", "no schemas at /nowhere")],
)
def test_what_is_missing_is_said_in_one_line(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """Catches a traceback, or success, where kubectl or the schemas are not there."""
    monkeypatch.setenv(variable, value)
    done = subprocess.run([sys.executable, "-m", "k8s.check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_rayjobs_are_patched_by_json_patches() -> None:
    """Catches a merge patch of workerGroupSpecs, which would replace the whole list."""
    seen = 0
    for file in K8S.rglob("kustomization.yaml"):
        for patch in yaml.safe_load(file.read_text(encoding="utf-8")).get("patches", []):
            text = patch.get("patch") or (file.parent / patch["path"]).read_text(encoding="utf-8")
            assert isinstance(yaml.safe_load(text), list), file
            seen += patch["target"]["kind"] == "RayJob"
    assert seen >= len(JOBS) + len(COMPONENTS)
