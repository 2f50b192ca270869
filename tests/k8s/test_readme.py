"""The README's example of a folder of one's own."""

import os
import re
from pathlib import Path

from k8s.check.check import check_job
from k8s.check.manifests import render
from k8s.check.overlays import K8S, Rendered


def test_example_of_one_s_own_overlay_is_clean(rendered: Rendered, tmp_path: Path) -> None:
    """Catches an example that kubectl refuses, or whose changes do not arrive."""
    text = (K8S / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    assert example.count("../hbt/k8s") == 2
    here = example.replace("../hbt/k8s", os.path.relpath(K8S, tmp_path.resolve()))
    (tmp_path / "kustomization.yaml").write_text(here, encoding="utf-8")
    arguments = (K8S / "overlays/single-node/run").read_text(encoding="utf-8")
    (tmp_path / "run").write_text(f"{arguments}name=mine\ntrain.learning_rate=5e-5\n", encoding="utf-8")
    manifests = render(tmp_path, "mine")
    assert [str(finding) for finding in check_job(manifests, rendered)] == []
    assert {pod.main["image"] for pod in manifests.pods} == {"REGISTRY/distributed-hbt:0.1.0-cuda"}
    assert any("name=mine" in one.get("data", {}).get("run", "") for one in manifests.of_kind("ConfigMap"))
